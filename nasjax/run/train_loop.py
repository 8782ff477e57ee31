"""The steps of a training: from the first, or a checkpoint, to the last."""

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from nasjax import data, train
from nasjax.data import stream
from nasjax.run import (
  compilation,
  datasets,
  divergence,
  feeds,
  finished,
  interrupts,
  loop,
)
from nasjax.run import progress as bars
from nasjax.run import record as record_lib
from nasjax.run.hosts import devices
from nasjax.run.workdir import diverged_file
from nasjax.space import SearchSpace
from nasjax.train.recipe import Recipe


# Data sets are arrays, which have no single truth value.
@dataclasses.dataclass(frozen=True, eq=False)
class Training:
  """One training.

  Attributes:
    workdir: claimed; None writes nothing.
    network: one op in every slot.
    dataset: without the images that are held out.
    batches: how a batch of it is made.
    recipe: how to train.
    steps: steps of the whole training.
    seed: seed of the initial weights, the order and the augmentation.
    taught: the teacher and its weights, if there is one.
    bar: progress shared with other runs; None shows one of its own.
  """

  workdir: pathlib.Path | None
  network: SearchSpace
  dataset: data.Dataset | stream.Streamed
  batches: data.Batches
  recipe: Recipe
  steps: int
  seed: int = 0
  taught: finished.Taught = finished.Taught()  # noqa: RUF009 (immutable)
  bar: bars.Progress | None = None

  @property
  def log_every(self) -> int:
    """Steps between lines of metrics: four lines an epoch."""
    return max(1, self.steps // self.recipe.epochs // 4)

  @property
  def classes(self) -> list[str]:
    """Names of the classes, in the order of the labels."""
    return datasets.classes_of(self.dataset)

  @property
  def prefix(self) -> str:
    """Name before what it reports, where a progress bar is shared."""
    if self.bar is None or self.workdir is None:
      return ''
    return f'{self.workdir.name}: '

  @property
  def identity(self) -> str:
    """Fingerprint of all that decides the checkpoints."""
    return record_lib.fingerprint(
      self.network,
      self.recipe,
      self.seed,
      self.steps,
      datasets.content_of(self.dataset),
      self.taught.record and self.taught.record['content'],
    )


def run(
  one: Training,
  parts: train.Train,
  rows: list[dict[str, Any]],
  checked: Callable | None,
) -> train.State:
  """Takes all steps that are missing.

  Args:
    one: the training.
    parts: its `init` and its `step`.
    rows: get the logged metrics where there is no workdir.
    checked: chooses the best weights, see `loop.run`; None chooses none.

  Returns:
    The last state.

  Raises:
    DivergedError: the training diverged.
  """
  feed = feeds.of(
    one.dataset.train,
    one.recipe.batch_size,
    one.dataset.image_shape,
    seed=one.seed,
    crop_area=getattr(one.dataset, 'crop_area', None),
    sharding=one.batches.sharding,
  )
  store, noted = loop.in_memory(rows), contextlib.nullcontext()
  if one.workdir is not None:
    store = loop.in_workdir(
      one.workdir, one.identity, one.log_every, feed.position
    )
    noted = diverged_file.written(one.workdir)
  of_teacher = devices.everywhere(one.taught.variables, feed.sharding)
  with noted, contextlib.ExitStack() as stack:
    bar = one.bar or stack.enter_context(bars.Progress('train', one.steps))
    pool = ThreadPoolExecutor(1)
    compiling = pool.submit(_compiled, one, parts, feed, of_teacher)
    pool.shutdown(wait=False)  # Nobody waits for it after an interrupt.
    state, step = interrupts.wait(compiling, bar.wait)
    return loop.run(
      store,
      state,
      lambda state, i: step(state, feed.next(), of_teacher),
      steps=one.steps,
      log_every=one.log_every,
      checkpoint_every=one.steps // one.recipe.epochs,
      describe=lambda metrics: one.prefix + described(metrics),
      name='train',
      watch=divergence.Watch(
        functools.partial(_diverged, one.recipe, one.steps),
        one.recipe.skip_nonfinite,
      ),
      watched=lambda state: state,
      bar=bar,
      **({} if checked is None else {'checked': checked}),
    )


def _compiled(
  one: Training, parts: train.Train, feed: feeds.Feed, of_teacher: Any
) -> tuple[train.State, Callable]:
  """The first state, and the compiled step."""
  shapes, start = compilation.initial(
    lambda key: parts.init(key, feed.like),
    jax.random.key(one.seed),
    sharding=feed.sharding,
  )
  step = compilation.compiled(
    one.prefix + 'step', parts.step, shapes, feed.like, of_teacher
  )
  return start(), step


def _diverged(recipe: Recipe, steps: int, bad: divergence.Bad) -> str:
  """The message of a diverged training."""
  rate = float(np.asarray(recipe.rate(steps)(bad.step - 1)))
  if bad.what in divergence.COUNTERS:
    seen = f'more than {recipe.skip_nonfinite} steps in a row are not finite'
  elif bad.what == 'state':
    seen = 'its weights are not finite'
  else:
    seen = 'its loss is not finite'
  return (
    f'the training diverged: {seen} from step {bad.step} of {steps} on '
    f'(learning_rate {recipe.learning_rate:g} with {recipe.optimizer}, '
    f'{rate:g} at that step); lower learning_rate and give another workdir'
  )


def described(metrics: dict[str, Any]) -> str:
  """Text of the progress bar."""
  text = f'loss {metrics["train_loss"]:.3f}'
  if 'valid_accuracy' in metrics:
    text += f', valid {100 * metrics["valid_accuracy"]:.2f} %'
  return text
