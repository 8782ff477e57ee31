"""The weights that a derived network inherits from its supernet."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nasjax.ops import Numerics
from nasjax.space import Architecture, Space, at_pattern
from nasjax.supernet import sharing
from nasjax.supernet.mixed import Supernet

Tree = Any


def subweights(
  space: Space,
  architecture: Architecture,
  params: Tree,
  collection: str = 'params',
  kind: str = 'entangled',
) -> Tree:
  """Cuts the weights of a derived network from those of its supernet.

  It takes the middle taps of each kernel and the first channels of each axis,
  as the masks of `nasjax.supernet.masks.masks` do at one-hot. The function is
  linear in the weights, and may be jitted with all other arguments static.

  Args:
    space: the space of the architecture.
    architecture: the derived architecture.
    params: variables of `nasjax.supernet.entangled.Entangled(space)` or
      `Supernet(space)`, `slot / op / ...`.
    collection: the collection of `params`, `'params'` or `'batch_stats'`. Where
      the space has patterns, the statistics of the derived pattern are taken.
    kind: kind of the supernet, `'entangled'` or `'mixed'`.

  Returns:
    The parameters of `Supernet(fix(space, architecture))`. With them, this
    network computes the same as the supernet at one-hot. Exceptions: a mixed
    supernet in which a width is a choice, and ops that
    `nasjax.supernet.sharing.unentangled` names.

  Raises:
    ValueError: `params` are not those of such a supernet.

  Example:
    >>> from nasjax import space as space_lib, spaces
    >>> from nasjax.supernet import entangled
    >>> tiny = spaces.tiny()
    >>> a = Architecture(tiny, ('mbconv_k3_e1', 'mbconv_k3_e3', 'skip'))
    >>> net, images = entangled.Entangled(tiny), jnp.zeros((1, 8, 8, 1))
    >>> init = jax.jit(
    ...   lambda key, probs: net.init(key, images, probs, train=False))
    >>> params = init(jax.random.key(0), space_lib.one_hot(a))['params']
    >>> own = subweights(tiny, a, params)['stage1_1']['mbconv_k3_e1']
    >>> list(own), own['dw']['kernel'].shape
    (['dw', 'dw_bn', 'project', 'project_bn'], (3, 3, 1, 4))
  """
  derived = space.fix(architecture)
  size = derived.image_size
  images = jnp.zeros((1, size, size, derived.channels))
  shapes = jax.eval_shape(
    lambda: Supernet(derived).init(jax.random.key(0), images, {}, train=False)
  )
  names = _names(space, architecture, kind)
  if space.patterns and collection == 'batch_stats':
    pattern = architecture.index['pattern']
    params = jax.tree.map(lambda rows: rows[pattern], params)

  def cut(path, shape):
    slot, op, *rest = (entry.key for entry in path)
    whole = params
    for key in (slot, names[slot], *rest):
      whole = whole.get(key, {})
    return _cut('/'.join((slot, op, *rest)), whole, shape.shape)

  return jax.tree_util.tree_map_with_path(cut, shapes.get(collection, {}))


def _names(
  space: Space, architecture: Architecture, kind: str
) -> dict[str, str]:
  """Slot to the name of the chosen op's parameters in the supernet."""
  index = dict(zip(space.choices, architecture.indices, strict=True))
  if space.patterns:
    space = at_pattern(space, index['pattern'])
  names, inputs = {}, space.channels
  for slot in space.slots:
    place = index.get(slot.name, 0)
    nest = None
    if kind == 'entangled':
      paths = sharing.paths(slot, inputs)
      ((_, nest),) = (path for path in paths if place in path.places)
    names[slot.name] = slot.ops[place].name if nest is None else nest.name
    inputs = slot.features
  return names


def _cut(name: str, whole: Any, shape: tuple[int, ...]) -> jax.Array:
  have = getattr(whole, 'shape', ())
  if len(have) != len(shape) or any(map(int.__lt__, have, shape)):
    raise ValueError(
      f'{name} of the derived network is {shape}, which is no part of '
      f'{have or "nothing"}: these are not the weights of its space.'
    )
  # Height and width of a kernel; a linear layer's has two axes of channels.
  spatial = 2 if len(shape) == 4 else 0
  sizes = zip(have[:spatial], shape[:spatial], strict=True)
  start = [(a - b) // 2 for a, b in sizes] + [0] * (len(shape) - spatial)
  stop = [at + size for at, size in zip(start, shape, strict=True)]
  return lax.slice(whole, start, stop)


# --- Running statistics ------------------------------------------------------


def statistics(
  space: Space,
  numerics: Numerics = Numerics(),  # noqa: B008 (frozen)
) -> Callable[[dict, jax.Array], Mapping]:
  """Makes a function that computes batch statistics of given images.

  Args:
    space: a network: one op in every slot.
    numerics: how the network is computed; its momentum is ignored.

  Returns:
    `(variables, images) -> batch_stats`, the statistics of these images alone.
  """
  own = dataclasses.replace(numerics, bn_momentum=0.0)
  net = Supernet(space, own)

  def apply(variables: dict, images: jax.Array) -> Mapping:
    """Of the variables only the parameters matter."""
    _, new = net.apply(
      {'params': variables['params']},
      images,
      {},
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': jax.random.key(0)},
    )
    return new['batch_stats'] if 'batch_stats' in new else {}

  return apply


def reestimate(
  apply: Callable[[dict, jax.Array], Mapping],
  variables: dict,
  batches: Iterable[jax.Array],
) -> dict:
  """Computes running statistics again, on batches of equal weight.

  The statistics of a supernet are those of mixtures and of earlier weights.
  Means are averaged over batches; variances are the mean of the variances
  within batches plus the variance of the means, as if all were one batch (Wu
  and Johnson 2021, Rethinking "Batch" in BatchNorm, section 3; slimmable
  networks need it after training, Yu and Huang 2019). This is exact for the
  first layer only: later layers see batches that were each normalised by their
  own statistics.

  Args:
    apply: a (jitted) function of `statistics`.
    variables: parameters; other collections are kept, `batch_stats` are
      ignored.
    batches: each `f32[N, H, W, C]`, normalised as in training, of equal sizes.

  Returns:
    The variables with new `batch_stats`.

  Raises:
    ValueError: there are no batches.

  Example:
    >>> own = {'bn': {'mean': jnp.array([1.0]), 'var': jnp.array([2.0])}}
    >>> def apply(_, images):
    ...   return jax.tree.map(lambda x: x * images, own)
    >>> new = reestimate(apply, {}, [1.0, 3.0])['batch_stats']['bn']
    >>> float(new['mean'][0]), float(new['var'][0])  # (2 + 6) / 2 + 1
    (2.0, 5.0)
  """
  found = [apply(variables, images) for images in batches]
  if not found:
    raise ValueError('statistics are of at least one batch, got none.')
  each = jax.tree.map(lambda *x: jnp.stack(x), *found)
  return {**variables, 'batch_stats': _merged(each)}


def _merged(each: Tree) -> Tree:
  """Merges statistics over their leading axis of batches."""
  if not isinstance(each, dict):
    return each.mean(0)
  if set(each) == {'mean', 'var'} and not isinstance(each['mean'], dict):
    mean, var = each['mean'], each['var']
    return {'mean': mean.mean(0), 'var': var.mean(0) + mean.var(0)}
  return {name: _merged(part) for name, part in each.items()}
