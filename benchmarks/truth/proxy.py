"""The small form of NAS-Bench-Macro's networks, and supernets of it.

Networks have a quarter of the channels and see 16 x 16 pixels: the means of
2 x 2 pixels of CIFAR-10. Choices, costs and limits are those of the full size.
Of the 50,000 training images weights learn from 45,000; networks are judged on
the others. Test images are not read.
"""

import dataclasses
import functools
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from benchmarks.truth import weights
from nasjax import data, guard, relax, search, spaces
from nasjax.run import compilation, loop
from nasjax.run import record as record_lib
from nasjax.search.contributions import Sampling
from nasjax.space import Proxy, as_chain, init_alphas
from nasjax.supernet import Entangled
from nasjax.train import optimizers

IMAGE_SIZE, WIDTH, VALID = 16, 0.25, 5000
CHECKPOINT_EVERY = 1000
SPACE = Proxy(
  spaces.nasbench_macro(),
  spaces.nasbench_macro(image_size=IMAGE_SIZE, width=WIDTH),
)


@dataclasses.dataclass(frozen=True)
class Recipe:
  """How a supernet is trained.

  Attributes:
    steps: networks that are trained on a batch; a step trains one of them, or
      four of a sandwich.
    draw: which networks they train, a key of `DRAWS`.
    batch_size: images per step.
    learning_rate: of SGD with Nesterov momentum 0.9; it falls to 0 on a cosine.
    weight_decay: of kernels.
    augment: whether images are flipped and shifted by up to 2 pixels.
    images: training images; 0 is all.
  """

  steps: int = 6000
  draw: str = 'uniform'
  batch_size: int = 64
  learning_rate: float = 0.1
  weight_decay: float = 0.0
  augment: bool = False
  images: int = 0


DRAWS = {
  'uniform': 'one network a step, drawn uniformly',
  'strict': 'one network a step, each option once in three steps',
  'largest_first': 'the largest network for half of the steps, then uniform',
  'mixture': 'all options at once, mixed by equal probabilities',
  'entangled': 'uniform, with weights that the options of a slot share',
  'by_cost': 'uniform, with a learning rate in proportion to MACs',
  'sandwich': 'largest, smallest and two more a step, taught by the largest',
}


# Weight steps in place of those of a search.
_STEPS = {'by_cost': weights.weighed_by_cost, 'sandwich': weights.sandwich}


class Images(NamedTuple):
  """Images of the proxy: `uint8[n, 16, 16, 3]` with labels."""

  train: data.Arrays
  valid: data.Arrays


def halved(images: np.ndarray) -> np.ndarray:
  """The means of 2 x 2 pixels, `uint8[n, height / 2, width / 2, 3]`."""
  n, height, width, channels = images.shape
  shape = n, height // 2, 2, width // 2, 2, channels
  means = images.reshape(shape).mean((2, 4), dtype=np.float32)
  return np.rint(means).astype(np.uint8)


@functools.cache
def images(data_dir: str) -> Images:
  """CIFAR-10 from a folder where TFDS has prepared it."""
  whole = data.load('cifar10', data_dir).train
  small = data.Arrays(halved(np.asarray(whole.images)), whole.labels)
  return Images(*data.split(small, 1 - VALID / len(whole.labels), seed=0))


class Built(NamedTuple):
  """A search on the proxy, and its images on the device."""

  parts: search.Search
  images: Images


def build(
  recipe: Recipe, data_dir: str, sampling: Sampling | None, **options: Any
) -> Built:
  """The functions of a search with the weights of a recipe.

  Args:
    recipe: of the weights.
    data_dir: where CIFAR-10 is prepared.
    sampling: how networks are judged.
    **options: further arguments of `nasjax.search.make`.
  """
  train, valid = images(data_dir)
  if recipe.images:
    kept = np.random.default_rng(0).permutation(len(train.labels))
    kept = kept[: recipe.images]
    train = data.Arrays(train.images[kept], train.labels[kept])
  policy = data.Augment(pad=2, flip=True) if recipe.augment else data.Augment()
  batches = data.Batches(
    recipe.batch_size, *data.statistics(train.images), policy
  )
  given: dict[str, Any] = {
    'constraints': [],
    'alpha_tx': optax.sgd(0.0),
    'relaxation': relax.PATHS,
    'weight_tx': optimizer(recipe),
    **options,
  }
  net = SPACE.search_network()
  if recipe.draw == 'strict':
    given['guards'] = guard.Guards(fairness=guard.strict)
  elif recipe.draw == 'mixture':
    given['relaxation'] = relax.SOFTMAX
  elif recipe.draw == 'entangled':
    net = Entangled(as_chain(SPACE.small))
    given['relaxation'] = relax.STRAIGHT_THROUGH
  parts = search.make(
    net,
    SPACE.choices,
    batches,
    given.pop('constraints'),
    sampling=sampling,
    **given,
  )
  if recipe.draw in _STEPS:
    step = _STEPS[recipe.draw](SPACE, batches, given['weight_tx'])
    parts = parts._replace(weight_step=step)
  return Built(parts, jax.device_put(Images(train, valid)))


def weight_steps(recipe: Recipe) -> int:
  """How often the optimizer moves the weights."""
  return recipe.steps // (weights.NETWORKS if recipe.draw == 'sandwich' else 1)


def optimizer(recipe: Recipe) -> optax.GradientTransformation:
  """SGD with Nesterov momentum on a cosine; kernels decay."""
  rate = optimizers.cosine(recipe.learning_rate, weight_steps(recipe))
  return optimizers.sgd(rate, weight_decay=recipe.weight_decay)


def supernet(
  folder: pathlib.Path,
  recipe: Recipe,
  data_dir: str,
  seed: int,
  built: Built | None = None,
) -> search.State:
  """The state of a search after its warm-up: weights that have learnt.

  Checkpoints are kept every 1,000 steps: a killed one goes on. A finished one
  is read.

  Args:
    folder: of all supernets.
    recipe: how it is trained.
    data_dir: where CIFAR-10 is prepared.
    seed: of everything random in it.
    built: of this recipe; None makes it.
  """
  own = built or build(recipe, data_dir, Sampling())
  train, valid = own.images
  key = jax.random.key(seed)
  shapes, start = compilation.initial(
    lambda k: own.parts.init(k, train, valid), key
  )
  step = compilation.compiled(
    'weight step', own.parts.weight_step, shapes, train
  )
  steps = weight_steps(recipe)
  # Alphas so far apart that the last option of each choice is drawn.
  # On the host, since a step overwrites its state.
  largest = {
    name: np.asarray(1e3 * jax.nn.one_hot(len(c) - 1, len(c)))
    for name, c in SPACE.choices.items()
  }

  def advance(state, number):
    if recipe.draw == 'largest_first':
      first = number <= steps // 2
      state = state._replace(
        alphas=largest if first else init_alphas(SPACE.choices)
      )
    return step(state, train)

  name = f'{recipe.draw}_{recipe.steps}_{seed}'
  identity = record_lib.fingerprint(recipe, seed)
  workdir = folder / f'{name}_{identity[:8]}'
  workdir.mkdir(parents=True, exist_ok=True)
  begun = start()._replace(alphas=init_alphas(SPACE.choices))
  return loop.run(
    loop.in_workdir(workdir, identity, 500),
    begun,
    advance,
    steps=steps,
    log_every=500,
    checkpoint_every=CHECKPOINT_EVERY,
    describe=lambda metrics: f'train {metrics["train_loss"]:.3f}',
    name=f'supernet {name}',
  )
