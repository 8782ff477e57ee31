"""Trains a network from Python: checked, in a workdir or without one."""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping
from typing import Any

from nasjax import checks, cost, data
from nasjax.data import stream
from nasjax.errors import InputError
from nasjax.run import (
  datasets,
  finished,
  holdout,
  training,
)
from nasjax.run import progress as bars
from nasjax.run import record as record_lib
from nasjax.run.config import configured
from nasjax.run.hosts import processes
from nasjax.run.trained import Trained
from nasjax.run.workdir import claims
from nasjax.space import SearchSpace, is_written
from nasjax.train.recipe import Recipe


def train_network(
  network: SearchSpace,
  dataset: data.Dataset | stream.Streamed | tuple[Any, Any],
  recipe: Recipe | None = None,
  *,
  workdir: str | pathlib.Path | None = None,
  progress: bool = True,
  seed: int = 0,
  valid_fraction: float = 0.0,
  taught: finished.Taught = finished.Taught(),  # noqa: B008 (immutable)
  record: Mapping[str, Any] | None = None,
  told: Mapping[str, Any] | None = None,
  **fields: Any,
) -> Trained:
  """Trains a network from scratch, and tests it once, at the end.

  Args:
    network: one op in every slot, at the sizes of the images.
    dataset: a data set, or images `uint8[n, height, width, channels]` with
      labels `int[n]`, of which about a fifth is held out for the test.
    recipe: how to train; None is the default.
    workdir: folder of the run. The same call resumes a killed run; the result
      is bit-identical. None writes nothing.
    progress: whether progress is shown, on stderr or in a notebook.
    seed: seed of the initial weights, the order and the augmentation.
    valid_fraction: fraction of the training images that is held out to choose
      the best weights; 0 tests the last weights.
    taught: a teacher to learn from besides the labels, see
      `nasjax.run.finished.teacher`.
    record: further values of `result.json`.
    told: values that identify the run, for `config.json`. A workdir with other
      values is refused. None is the recipe.
    **fields: fields of `Recipe` that replace those of `recipe`.

  Returns:
    The network with its weights and its test accuracy.

  Raises:
    InputError: bad input; nothing was written then.
    DivergedError: the training diverged.

  Example:
    >>> import nasjax as nj
    >>> dataset = nj.data.load('fashion_mnist_5k')
    >>> tiny = nj.spaces.tiny(**dataset.sizes)
    >>> a = nj.space.argmax(tiny, nj.space.init_alphas(tiny))
    >>> net = train_network(
    ...   tiny.fix(a), dataset, epochs=1, batch_size=2500, progress=False)
    >>> net.predict(dataset.test.images[:3]).shape
    (3,)
  """
  recipe = configured(recipe or Recipe(), fields)
  checks.check_seed(seed)
  holdout.check_fraction(valid_fraction)
  with bars.shown(progress):
    if network.choices:
      raise InputError(
        f'{network.name} leaves a choice in {", ".join(network.choices)}; '
        'train the network of an architecture'
      )
    dataset = datasets.of(dataset)
    datasets.check_sizes(network, dataset)
    datasets.check_recipe(recipe, dataset)
    cost.macs(network)  # Refuses images that are too small.
    recipe.of_network(network)
    fit, valid = holdout.held_out(dataset, valid_fraction)
    one = functools.partial(
      training.run,
      network=network,
      dataset=fit,
      batches=datasets.batches_for(recipe, fit),
      recipe=recipe,
      seed=seed,
      record=dict(record or {}),
      valid=valid,
      taught=taught,
    )
    if workdir is None:
      return one(None)
    if not is_written(network):
      raise InputError(
        f'network {network.name!r} is no chain of slots and has no cells, and '
        'cannot be written to a file; train without a workdir'
      )
    if told is None:
      told = {
        **dataclasses.asdict(recipe),
        'seed': seed,
        'valid_fraction': valid_fraction,
        'dataset': dataset.name,
        'crop_area': getattr(dataset, 'crop_area', None),
        'teacher': taught.record,
      }
    content = {
      'content': record_lib.fingerprint(network),
      'data_content': datasets.content_of(dataset),
      'teacher_content': taught.record and taught.record['content'],
      **processes.content(),
    }
    with claims.claimed(workdir, {**told, **content}) as claimed:
      return one(claimed)
