"""The network that is exported: weights, classes and preprocessing."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nasjax import data, train
from nasjax.errors import InputError
from nasjax.ops import Numerics
from nasjax.run import fast_init_rng
from nasjax.run.trained import Trained
from nasjax.space import Architecture, SearchSpace
from nasjax.train.recipe import Recipe

# What `of` takes.
Source = Trained | Architecture | SearchSpace
# Mean and standard deviation of each channel, for pixels scaled to 0 to 1.
Normalisation = tuple[Sequence[float], Sequence[float]]


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
  """A network with all that a classifier needs besides.

  Attributes:
    network: no choice left.
    weights: parameters and running statistics, NumPy arrays.
    classes: a name per class, in the order of the logits.
    mean: mean of each channel, for pixels scaled to 0 to 1.
    std: standard deviation of each channel, for pixels scaled to 0 to 1.
    image_size: height and width of the images.
    crop: fraction of the shorter edge of a picture that is kept at least, see
      `nasjax.data.images.middle`.
    bn_epsilon: added to the variance by batch norm.
    result: of the training, such as `test_accuracy`; {} without one.
  """

  network: SearchSpace
  weights: train.Weights
  classes: tuple[str, ...]
  mean: tuple[float, ...]
  std: tuple[float, ...]
  image_size: int
  crop: float = 1.0
  bn_epsilon: float = 1e-5
  result: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  @property
  def channels(self) -> int:
    """Channels of the images."""
    return len(self.mean)

  @property
  def image_shape(self) -> tuple[int, int, int]:
    """Height, width and channels of the images."""
    return self.image_size, self.image_size, self.channels

  @property
  def graph(self) -> Callable[[jax.Array], jax.Array]:
    """The exported function: `f32[1, H, W, C]`, 0 to 255, to logits.

    Depthwise and pointwise convolutions are traced as convolutions, in float32
    and with the running statistics. Normalisation is one product and one sum.
    """
    net = self.network.network(Numerics('native', bn_epsilon=self.bn_epsilon))
    std = np.asarray(self.std, np.float64)
    factor = (1 / (255 * std)).astype(np.float32).reshape(1, 1, 1, -1)
    shift = (-np.asarray(self.mean) / std).astype(np.float32)
    shift = shift.reshape(1, 1, 1, -1)

    def run(image: jax.Array) -> jax.Array:
      variables = self.weights._asdict()
      x = image * factor + shift
      return net.apply(variables, x, {}, train=False)  # pyrefly: ignore[bad-return] # flax: no tuple

    return run

  def precise_logits(self, images: np.ndarray) -> np.ndarray:
    """The same as `logits`, in double precision and slowly.

    Args:
      images: `uint8[n, H, W, C]`.

    Returns:
      `f64[n, classes]`.
    """
    net = self.network.network(Numerics('native', bn_epsilon=self.bn_epsilon))
    x = (images / 255 - np.asarray(self.mean)) / np.asarray(self.std)
    with jax.enable_x64(True):
      variables = jax.tree.map(np.float64, self.weights._asdict())
      run = jax.jit(lambda x: net.apply(variables, x, {}, train=False))
      return np.asarray(run(x))

  def logits(self, images: np.ndarray, size: int = 128) -> np.ndarray:
    """What the network computes in JAX: the reference for what is exported.

    Args:
      images: `uint8[n, H, W, C]`.
      size: images at a time.

    Returns:
      `f32[n, classes]`.

    Raises:
      InputError: the outputs are not finite.
    """
    net = self.network.network(Numerics(bn_epsilon=self.bn_epsilon))
    run = jax.jit(train.logits(net, data.Batches(1, self.mean, self.std)))
    size = min(size, len(images))
    parts = []
    for start in range(0, len(images), size):
      part = images[start : start + size]
      filled = np.concatenate([part, part[:1].repeat(size - len(part), 0)])
      parts.append(np.asarray(run(*self.weights, filled))[: len(part)])
    found = np.concatenate(parts)
    if not np.isfinite(found).all():
      wrong = int((~np.isfinite(found).all(axis=1)).sum())
      raise InputError(
        f'{self.network.name}: the logits of {wrong} of {len(found)} images '
        'are not finite; export weights of a training that did not diverge'
      )
    return found


def of(
  source: Source,
  variables: train.Weights | Mapping[str, Any] | None = None,
  *,
  classes: Sequence[str] | None = None,
  normalisation: Normalisation | None = None,
) -> Model:
  """The model of whatever can be exported.

  Args:
    source: the result of `nasjax.run.train` or `nasjax.run.load`; or an
      architecture, or a network with one op in every slot.
    variables: weights, or `{'params': ..., 'batch_stats': ...}`. None takes
      those of the training, or fresh random ones.
    classes: a name per class; None takes those of the training, or numbers.
    normalisation: mean and standard deviation of each channel, for pixels
      scaled to 0 to 1. None takes those of the training, or 0 and 1.

  Raises:
    InputError: a choice is left, or weights, names or normalisation do not
      belong to the network.

  Example:
    >>> from nasjax import zoo
    >>> model = of(zoo.mobilenet_v2(image_size=32, num_classes=3))
    >>> model.image_shape, model.classes
    ((32, 32, 3), ('0', '1', '2'))
  """
  result, epsilon = {}, Numerics().bn_epsilon
  if isinstance(source, Trained):
    network, result = source.network, source.result
    epsilon = Recipe(**result['recipe']).bn_epsilon
    variables = source.weights if variables is None else variables
    classes = source.classes if classes is None else classes
    if normalisation is None:
      normal = result['normalisation']
      normalisation = normal['mean'], normal['std']
  elif isinstance(source, Architecture):
    network = source.space.fix(source)
  else:
    network = source
  if not hasattr(network, 'choices'):
    raise InputError(
      f'source is of the type {type(source).__name__}; it must be a result of '
      'nasjax.run.train, an architecture or a network'
    )
  if network.choices:
    raise InputError(
      f'{network.name} leaves a choice in {", ".join(network.choices)}; export '
      'the network of an architecture'
    )
  size, channels = (
    result.get(name, getattr(network, name, None))
    for name in ('image_size', 'channels')
  )
  if size is None or channels is None:
    raise InputError(
      f'{network.name} does not say image_size and channels; export the result '
      'of its training'
    )
  mean, std = _normalisation(normalisation, channels)
  weights = _weights(network, variables, (1, size, size, channels))
  outputs = _outputs(network, weights, (1, size, size, channels))
  names = tuple(map(str, range(outputs))) if classes is None else tuple(classes)
  if len(names) != outputs:
    raise InputError(
      f'classes has {len(names)} names; {network.name} has {outputs} classes'
    )
  crop = result.get('test_crop', 1.0)
  return Model(network, weights, names, mean, std, size, crop, epsilon, result)


def _normalisation(
  given: Normalisation | None, channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
  if given is None:
    return (0.0,) * channels, (1.0,) * channels
  mean, std = (tuple(map(float, numbers)) for numbers in given)
  right = all(np.isfinite((*mean, *std))) and all(s > 0 for s in std)
  if not right or {len(mean), len(std)} != {channels}:
    raise InputError(
      f'normalisation is {given}; it must be {channels} means and {channels} '
      'positive standard deviations'
    )
  return mean, std


def _weights(
  network: SearchSpace, variables: Any, shape: tuple[int, ...]
) -> train.Weights:
  """Weights of a network as NumPy arrays, checked; fresh ones for None."""
  net = network.network(Numerics('native'))

  def init(key):
    made = net.init(key, jnp.zeros(shape, jnp.float32), {}, train=False)
    return train.Weights(made['params'], made.get('batch_stats') or {})

  if variables is None:
    init = fast_init_rng.drawn_quickly(init)
    return jax.tree.map(np.asarray, jax.jit(init)(jax.random.key(0)))
  if not isinstance(variables, train.Weights):
    if 'params' not in variables:
      raise InputError(
        f'variables has {", ".join(variables) or "no collection"}; it must '
        'have params, and batch_stats where there is a batch norm'
      )
    variables = train.Weights(
      variables['params'], variables.get('batch_stats', {})
    )
  wanted = _shapes(jax.eval_shape(init, jax.random.key(0)))
  found = _shapes(variables)
  for place in sorted({*wanted, *found}):
    if wanted.get(place) != found.get(place):
      raise InputError(
        f'variables has {place} of shape {found.get(place, "none")}; '
        f'{network.name} has {wanted.get(place, "none")}'
      )
  return jax.tree.map(lambda x: np.asarray(x, np.float32), variables)


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
  """Names to shapes, such as `params/stem/kernel`."""
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return {
    jax.tree_util.keystr(path, simple=True, separator='/'): np.shape(leaf)
    for path, leaf in leaves
  }


def _outputs(
  network: SearchSpace, weights: train.Weights, shape: tuple[int, ...]
) -> int:
  net = network.network(Numerics('native'))
  image = jax.ShapeDtypeStruct(shape, np.float32)
  logits = jax.eval_shape(
    lambda x: net.apply(weights._asdict(), x, {}, train=False), image
  )
  return logits.shape[-1]
