"""Kinds of supernets, and the weights that a derived network inherits."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from nasjax import data, relax, train
from nasjax.data import stream, stream_batches
from nasjax.errors import InputError
from nasjax.ops import Numerics
from nasjax.run import (
  datasets,
  holdout,
)
from nasjax.run.config import SearchConfig
from nasjax.search import form
from nasjax.space import Architecture, SearchSpace, Space, as_chain
from nasjax.supernet import Entangled, inherit, sharing

INHERITED = 'inherited'  # In `weights/`, beside those of trainings.
WHOLE = 'supernet'  # Name of the weights of all candidates.
_BATCHES = 16  # Of training images, for running statistics.


def kind_of(config: SearchConfig, space: SearchSpace) -> str:
  """The configured kind of supernet, or that of the relaxation.

  Raises:
    InputError: the kind does not fit the relaxation or the space.
  """
  drawn = relax.is_sampled(config.relaxation, space.choices)
  if drawn:
    _check_names(config, space)
  kind = config.supernet
  if kind is None:
    return 'sampled' if drawn else 'mixed'
  if kind == 'entangled' and not isinstance(space, Space):
    raise InputError(
      f'supernet=entangled shares weights among the ops of a slot; '
      f'{space.name} is no chain of slots; give supernet=mixed'
    )
  if drawn == (kind == 'sampled'):
    return kind
  does = 'draws which ops run' if drawn else 'runs all ops'
  instead = 'sampled, or relax=softmax'
  if not drawn:
    instead = 'mixed or supernet=entangled'
  raise InputError(
    f'supernet={kind} does not go with relax={config.described()["relax"]}, '
    f'which {does}; give supernet={instead}'
  )


def _check_names(config: SearchConfig, space: SearchSpace) -> None:
  """Raises InputError for a name with several choices, none of them sampled."""
  each = form.samples_each(space.search_network(config.recipe.numerics))
  for name, choice in space.choices.items():
    if choice.shape and not each:
      raise InputError(
        f'relax={config.described()["relax"]} draws one op per name, and '
        f'{name!r} of {space.name} has {math.prod(choice.shape)} choices; give '
        'relax=softmax, or a name to each choice'
      )


def network(kind: str, space: SearchSpace, numerics: Numerics) -> nn.Module:
  """The supernet of a kind; sampled ops run in a mixed one."""
  if kind == 'entangled':
    return Entangled(as_chain(space), numerics)
  return space.search_network(numerics)


class Inherited(NamedTuple):
  """A derived network before any training of its own.

  Attributes:
    weights: weights that it takes from the supernet.
    record: its accuracy on the images of the alphas, and the number of images
      that its running statistics were computed on.
  """

  weights: train.Weights
  record: dict[str, Any]


def inherited(
  kind: str,
  architecture: Architecture,
  params: Any,
  halves: tuple[data.Arrays | stream.Decoded, data.Arrays | stream.Decoded],
  batches: data.Batches,
  numerics: Numerics,
) -> Inherited:
  """The derived network with the weights of the supernet.

  Args:
    kind: kind of the supernet.
    architecture: the derived architecture.
    params: parameters of the supernet.
    halves: images of the weights and of the alphas, decoded or streamed.
    batches: size and normalisation of a batch; nothing is augmented.
    numerics: how the network is computed.
  """
  space = as_chain(architecture.space)
  network = space.fix(architecture)
  own = inherit.subweights(
    space,
    architecture,
    params,
    kind='entangled' if kind == 'entangled' else 'mixed',
  )
  learnt, held = halves
  size = batches.size
  order = np.random.default_rng(0).permutation(datasets.size_of(learnt))
  order = order[: min(_BATCHES, len(order) // size) * size]
  apply = jax.jit(inherit.statistics(network, numerics))
  variables = inherit.reestimate(
    apply, {'params': own}, _normalised(learnt, order, batches, network)
  )
  found = train.Weights(variables['params'], variables['batch_stats'])
  predict = jax.jit(train.predict(network.network(numerics), batches))
  accuracy = datasets.accuracy(predict, found, held, network.image_size)
  record = {'valid_accuracy': accuracy, 'statistics_of': len(order)}
  return Inherited(found, record)


def _normalised(
  images: data.Arrays | stream.Decoded,
  order: np.ndarray,
  batches: data.Batches,
  network: Space,
) -> Iterator[jax.Array]:
  """The images in an order, batch by batch."""
  if isinstance(images, data.Arrays):
    places = range(0, len(order), batches.size)
    parts = (images.images[order[i : i + batches.size]] for i in places)
  else:
    rows = holdout.Part(images, order)
    drawn = stream_batches.once(rows, batches.size, network.image_size)
    parts = (one.images for one in drawn)
  for part in parts:
    yield data.normalise(jnp.asarray(part), batches.mean, batches.std)


def described(kind: str, space: Space) -> dict[str, Any]:
  """The record of a supernet.

  Returns:
    Its kind and, for `entangled`, the ops of each slot that share no weights.
  """
  if kind != 'entangled':
    return {'kind': kind}
  found = sharing.unentangled(space)
  alone = {slot: sorted(ops) for slot, ops in found.items()}
  return {'kind': kind, 'unentangled': alone}


def said(found: Mapping[str, Any]) -> list[str]:
  """Lines about ops of an entangled supernet that share no weights."""
  alone = found.get('unentangled')
  if not alone:
    return []
  slots = '; '.join(f'{slot}: {" ".join(ops)}' for slot, ops in alone.items())
  return [f'these ops share no weights, and are mixed: {slots}']
