"""Trains one network from scratch and tests it once, at the end.

  python -m experiments.train --workdir=runs/train \\
    --architecture=runs/search/architecture.json --dataset=fashion_mnist_5k

or `--network=mobilenet_v2 --width=0.25` instead of `--architecture`; writes
`result.json`. Started again after a kill it goes on where it was.
"""

import dataclasses
import pathlib
from typing import Any

import jax
import tqdm
from absl import flags

from experiments import cli, datasets, loop, names
from nasjax import batch, cost, data, optimize, stream, train
from nasjax.errors import InputError
from nasjax.space import Architecture, Space, fix, resize


@dataclasses.dataclass(frozen=True)
class Recipe:
  """How a network is trained; the same for all that are compared.

  Attributes:
    epochs: passes over the training images.
    batch_size: images per step.
    learning_rate: at its peak.
    weight_decay: of the kernels.
    smoothing: of the labels.
    cutout: edge in pixels of a black square in each training image; 0 for none.
    erasing: share of the training images of which a part becomes noise.
    mixup: how evenly training images are mixed; 0 for not at all.
  """

  epochs: int = 6
  batch_size: int = 32
  learning_rate: float = 0.1
  weight_decay: float = 1e-4
  smoothing: float = 0.1
  cutout: int = 0
  erasing: float = 0.0
  mixup: float = 0.0

  def __post_init__(self):
    cli.check_least(1, epochs=self.epochs)
    cli.check_positive(learning_rate=self.learning_rate)
    for name in ('weight_decay', 'smoothing'):
      if not 0 <= getattr(self, name) < 1:
        raise InputError(
          f'{name} is {getattr(self, name)}; it must be at least 0 and below 1'
        )


def steps_of(recipe: Recipe, dataset: data.Dataset | stream.Streamed) -> int:
  """Steps of a whole training."""
  return recipe.epochs * (dataset.num_train // recipe.batch_size)


def batches_for(
  recipe: Recipe, dataset: data.Dataset | stream.Streamed
) -> batch.Batches:
  """How batches of the training images are made.

  Raises:
    InputError: the recipe does not go with so many images of this size.
  """
  images = dataset.num_train
  return datasets.batches_of(
    dataset,
    recipe.batch_size,
    images,
    recipe.cutout,
    erasing=recipe.erasing,
    mixup=recipe.mixup,
  )


def run(
  workdir: pathlib.Path,
  network: Space,
  dataset: data.Dataset | stream.Streamed,
  batches: batch.Batches,
  recipe: Recipe,
  *,
  seed: int,
  record: dict[str, Any],
  bar: tqdm.tqdm | None = None,
  crop_area: float = stream.CROP_AREA,
) -> dict[str, Any]:
  """Trains on all training images, tests on all test images.

  Args:
    workdir: claimed.
    network: one op in every slot.
    dataset: decoded or streamed.
    batches: how a batch of it is made.
    recipe: how to train.
    seed: of the initial weights, the order and the augmentation.
    record: what else `result.json` is to hold.
    bar: a progress bar shared with other runs; the loss in it is named after
      the workdir.
    crop_area: least share of an image that a stream cuts out of it.

  Returns:
    What was written to `result.json`.
  """
  steps = steps_of(recipe, dataset)
  if (workdir / 'result.json').exists():
    if bar is not None:
      bar.initial += steps
      bar.update(steps)
    return loop.read_json(workdir / 'result.json')
  tx = optimize.sgd(
    optimize.cosine(recipe.learning_rate, steps),
    weight_decay=recipe.weight_decay,
  )
  parts = train.make(network, batches, tx=tx, smoothing=recipe.smoothing)
  feed = datasets.feed_of(
    dataset, recipe.batch_size, seed=seed, crop_area=crop_area
  )
  state = loop.initial(parts.init, jax.random.key(seed), feed.like)
  step = loop.compiled(parts.step, state, feed.like)
  per_epoch = steps // recipe.epochs
  who = '' if bar is None else f'{workdir.name}: '
  state = loop.run(
    workdir,
    state,
    lambda state, i: step(state, feed.next()),
    steps=steps,
    log_every=max(1, per_epoch // 4),
    checkpoint_every=per_epoch,
    describe=lambda metrics: f'{who}loss {metrics["train_loss"]:.3f}',
    name='train',
    bar=bar,
    feed=feed.position,
  )
  predict = jax.jit(train.predict(network, batches))
  result = {
    'test_accuracy': datasets.accuracy(predict, state, dataset),
    'test_images': dataset.num_test,
    'macs': cost.macs(network).constant,
    'params': cost.params(network).constant,
    'network': network.name,
    'dataset': dataset.name,
    'seed': seed,
    'recipe': dataclasses.asdict(recipe),
    'versions': loop.versions(),
    **record,
  }
  loop.write_json(workdir / 'result.json', result)
  return result


def network_for(
  config: dict[str, Any], dataset: data.Dataset | stream.Streamed
) -> Space:
  """What `--architecture` or `--network` names, for a data set's images."""
  names.check_network(config, OPTIONS)
  sizes = datasets.sizes_of(dataset)
  if config['network'] is not None:
    return names.for_images(config['network'], config['width'], **sizes)
  ops = names.ops_of(config['ops'])
  loaded = Architecture.load(config['architecture'], ops)
  sized = resize(loaded.space, **sizes)
  return fix(sized, loaded)


RECIPE_OPTIONS = {
  'epochs': (Recipe.epochs, 'passes over the training images'),
  'batch_size': (Recipe.batch_size, 'images per step'),
  'learning_rate': (Recipe.learning_rate, 'at its peak'),
  'weight_decay': (Recipe.weight_decay, 'of the kernels'),
  'smoothing': (Recipe.smoothing, 'of the labels'),
  'cutout': (
    Recipe.cutout,
    'edge of a black square in each training image, in pixels; 0: none',
  ),
  'erasing': (
    Recipe.erasing,
    'share of the training images in which a rectangle becomes noise',
  ),
  'mixup': (
    Recipe.mixup,
    'mixes training images, a share drawn from Beta(mixup, mixup); 0: none',
  ),
}

OPTIONS = {
  'architecture': (None, 'an architecture.json'),
  'ops': (None, 'module with ops of your own that --architecture names'),
  'network': (None, cli.one_of(names.NETWORKS)),
  'width': (1.0, 'multiplier of the widths of --network'),
  **datasets.OPTIONS,
  **datasets.STREAM_OPTIONS,
  'seed': (0, 'of everything that is random'),
  **RECIPE_OPTIONS,
}


def recipe_of(config: dict[str, Any]) -> Recipe:
  """The recipe among the values of the flags."""
  return Recipe(**{f.name: config[f.name] for f in dataclasses.fields(Recipe)})


def main() -> None:
  config = cli.values(OPTIONS)
  recipe = recipe_of(config)
  cli.check_least(0, seed=config['seed'])
  dataset = datasets.of_or_stream(config, OPTIONS)
  batches = batches_for(recipe, dataset)
  network = network_for(config, dataset)
  names.check_image_size(network)
  content = {
    'content': loop.fingerprint(network),
    'data_content': datasets.content_of(dataset),
  }
  workdir = loop.claim(flags.FLAGS.workdir, {**config, **content})
  result = run(
    workdir,
    network,
    dataset,
    batches,
    recipe,
    seed=config['seed'],
    record={'command': cli.command('experiments.train')},
    crop_area=config['crop_area'],
  )
  print(
    f'test accuracy {100 * result["test_accuracy"]:.2f} % on '
    f'{result["test_images"]} images, {result["macs"]} MACs, '
    f'{result["params"]} parameters'
  )
  print(f'wrote {workdir / "result.json"}')


if __name__ == '__main__':
  cli.define_workdir()
  cli.define(OPTIONS)
  cli.run(main, required=('workdir',))
