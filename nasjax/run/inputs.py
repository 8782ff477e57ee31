"""What a search is made from: checked, and put together."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from nasjax import cost, data, search
from nasjax.constraint import Kept
from nasjax.data import stream
from nasjax.errors import InputError
from nasjax.run import (
  datasets,
  guards,
  holdout,
  limits,
  supernets,
)
from nasjax.run.config import SearchConfig
from nasjax.search import hypergradient
from nasjax.space import Architecture, SearchSpace
from nasjax.train import cross_entropy, optimizers


class Inputs(NamedTuple):
  """Everything that a search needs, whatever its workdir.

  Attributes:
    config: how to search.
    space: the search space, at the data set's sizes.
    limits: cost to the largest value allowed, in the cost's unit.
    kept: constraints and projection that keep the limits.
    guarded: guards against collapse.
    supernet: one of `config.SUPERNETS`.
    train: training images of the weights, decoded or rows of a stream.
    valid: training images of the alphas.
    batches: how a batch of either half is made.
    data_content: fingerprint of the images.
    dataset: the data set of both halves.
  """

  config: SearchConfig
  space: SearchSpace
  limits: Mapping[cost.Cost, float]
  kept: Kept
  guarded: guards.Guarded
  supernet: str
  train: data.Arrays | stream.Decoded
  valid: data.Arrays | stream.Decoded
  batches: data.Batches
  data_content: str
  dataset: data.Dataset | stream.Streamed


def check(
  config: SearchConfig,
  space: SearchSpace,
  opened: data.Opened | data.Dataset | stream.Streamed,
  limited: Mapping[cost.Cost, float],
) -> tuple[Kept, guards.Guarded, str]:
  """Checks everything that needs no images, before any is decoded.

  Args:
    config: how to search.
    space: at the sizes of the images.
    opened: the data set, of which only the sizes are read.
    limited: cost to the largest value allowed, in the cost's unit.

  Returns:
    `kept`, `guarded` and `supernet` of `Inputs`.

  Raises:
    InputError: bad input.
  """
  streamed = isinstance(opened, stream.Streamed)
  if config.finalists > 1 and streamed:
    raise InputError(
      f'finalists={config.finalists} does not go with a stream: finalists are '
      'trained on decoded images; leave one of them out'
    )
  if all(len(choice) == 1 for choice in space.choices.values()):
    raise InputError(
      f'space {space.name!r} has one option everywhere: there is nothing to '
      'search; train its network'
    )
  datasets.check_sizes(space, opened)
  limits.check(config, space, limited)
  kept = limits.keep(config, space, limited)
  guarded = guards.of(config, space)
  supernet = supernets.kind_of(config, space)
  datasets.check_batches(opened, config.batch_size, config.cutout)
  return kept, guarded, supernet


def prepare(
  config: SearchConfig,
  space: SearchSpace,
  dataset: data.Dataset | stream.Streamed,
  limited: Mapping[cost.Cost, float],
) -> Inputs:
  """Puts the inputs of a search together; writes nothing.

  Args:
    config: how to search.
    space: at the sizes of the images.
    dataset: training images; test images are ignored.
    limited: cost to the largest value allowed, in the cost's unit.

  Raises:
    InputError: bad input.
  """
  kept, guarded, supernet = check(config, space, dataset, limited)
  train, valid = holdout.halves(dataset, config.seed)
  config = config.scheduled(space.choices, datasets.size_of(train))
  smaller = min(datasets.size_of(train), datasets.size_of(valid))
  batches = datasets.batches_of(
    dataset, config.batch_size, smaller, config.cutout
  )
  if config.finalists > 1:
    halves = holdout.as_training(dataset, train, valid)
    datasets.batches_for(config.finalist_recipe, halves)
  return Inputs(
    config,
    space,
    dict(limited),
    kept,
    guarded,
    supernet,
    train,
    valid,
    batches,
    datasets.content_of(dataset),
    dataset,
  )


def build(inputs: Inputs) -> search.Search:
  """The search's pure functions, with the optimizers of its configuration."""
  config, recipe = inputs.config, inputs.config.recipe
  return search.make(
    supernets.network(inputs.supernet, inputs.space, recipe.numerics),
    inputs.space.choices,
    inputs.batches,
    inputs.kept.constraints,
    projection=inputs.kept.projection,
    weight_tx=config.weight_tx,
    alpha_tx=config.alpha_tx,
    hypergradient=_hypergradient(config),
    relaxation=config.relaxation,
    temperature=config.heat,
    guards=inputs.guarded.guards,
    loss=functools.partial(cross_entropy, smoothing=config.smoothing),
    skip_nonfinite=recipe.skip_nonfinite > 0,
    sampling=config.sampling,
  )


def _hypergradient(config: SearchConfig) -> hypergradient.Hypergradient:
  """The hypergradient that `order` names."""
  recipe = config.recipe
  if config.order == 'implicit':
    return hypergradient.implicit_with(
      terms=config.neumann_terms,
      rate=config.neumann_rate,
      regulariser=functools.partial(
        optimizers.decay, weight_decay=recipe.coupled_decay
      ),
    )
  if config.order == 'second':
    return functools.partial(hypergradient.second, tx=config.weight_tx)
  return hypergradient.first


def params_of(
  inputs: Inputs, parts: search.Search, state: search.State
) -> dict[str, Any]:
  """The supernet's weights as its module made them, `slot / op / ...`."""
  sizes = inputs.dataset.sizes
  shape = sizes['image_size'], sizes['image_size'], sizes['channels']
  return parts.params(state, jax.ShapeDtypeStruct(shape, np.uint8))


def inherited(
  inputs: Inputs, architecture: Architecture, params: Mapping[str, Any]
) -> supernets.Inherited:
  """A derived network with the weights of the supernet."""
  return supernets.inherited(
    inputs.supernet,
    architecture,
    params,
    (inputs.train, inputs.valid),
    inputs.batches,
    inputs.config.recipe.numerics,
  )
