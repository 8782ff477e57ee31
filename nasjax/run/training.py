"""A whole training: from a network and images to accuracy and weights."""

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from nasjax import data, files, train
from nasjax.data import stream
from nasjax.errors import DivergedError
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
from nasjax.run.hosts import devices, processes
from nasjax.run.trained import Trained, accuracies, facts
from nasjax.run.workdir import diverged_file, metrics_file, weights
from nasjax.space import Architecture, SearchSpace
from nasjax.train.recipe import Recipe


class Built(NamedTuple):
  """The pure functions of a training.

  Trainings that share them, such as several seeds, are traced only once.

  Attributes:
    parts: its `init` and its `step`.
    predict: `(params, batch_stats, images) -> labels`, jitted.
  """

  parts: train.Train
  predict: Callable


def build(
  network: SearchSpace,
  dataset: data.Dataset | stream.Streamed,
  batches: data.Batches,
  recipe: Recipe,
  taught: finished.Taught = finished.Taught(),  # noqa: B008 (immutable)
) -> Built:
  """Makes the pure functions of a training; see `run` for the arguments."""
  parts = train.make(
    recipe.of_network(network).network(recipe.numerics),
    batches,
    tx=recipe.tx(datasets.steps_of(recipe, dataset)),
    smoothing=recipe.smoothing,
    decay=recipe.ema_decay,
    teacher=taught.teacher,
    skip_nonfinite=recipe.skip_nonfinite > 0,
  )
  predict = train.predict(network.network(recipe.numerics), batches)
  return Built(parts, jax.jit(predict))


def run(
  workdir: pathlib.Path | None,
  network: SearchSpace,
  dataset: data.Dataset | stream.Streamed,
  batches: data.Batches,
  recipe: Recipe,
  *,
  seed: int,
  record: dict[str, Any],
  bar: bars.Progress | None = None,
  valid: data.Arrays | stream.Decoded | None = None,
  choose: bool = True,
  taught: finished.Taught = finished.Taught(),  # noqa: B008 (immutable)
  built: Built | None = None,
  among: SearchSpace | None = None,
) -> Trained:
  """Trains on all training images, tests on all test images.

  Args:
    workdir: claimed; None writes nothing.
    network: one op in every slot.
    dataset: decoded or streamed, without held-out images.
    batches: how a batch of it is made.
    recipe: how to train.
    seed: seed of the initial weights, the order and the augmentation.
    record: further values of `result.json`.
    bar: progress shared with other runs; the loss in it is named after the
      workdir.
    valid: held-out images; the weights of the epoch with the best accuracy on
      them are tested. None tests the last weights.
    choose: if False, the last weights are tested, and their accuracy on `valid`
      is recorded.
    taught: the teacher and its weights, if there is one.
    built: functions of a training that differs only in its seed; None makes
      them.
    among: see `finished.check_workdir`.

  Returns:
    The network with its result, which was written to `result.json`.

  Raises:
    InputError: the workdir holds another network.
    DivergedError: the training diverged, now or in an earlier process.
  """
  steps = datasets.steps_of(recipe, dataset)
  if workdir is not None:
    before = _before(workdir, network, among, bar, steps)
    if before is not None:
      return before
    if processes.first() and not (workdir / 'architecture.json').exists():
      Architecture(network, ()).save(
        workdir / 'architecture.json', classes=datasets.classes_of(dataset)
      )
  built = built or build(network, dataset, batches, recipe, taught)

  def measure(images, own: train.Weights) -> float:
    own = devices.own(own)
    return datasets.accuracy(built.predict, own, images, dataset.image_shape[0])

  classes = datasets.classes_of(dataset)
  kept = weights.in_memory()
  if workdir is not None:
    kept = weights.in_workdir(workdir, classes)
  checked = None
  if valid is not None and choose:
    checked = weights.keeper(kept, functools.partial(measure, valid))
  feed = feeds.of(
    dataset.train,
    recipe.batch_size,
    dataset.image_shape,
    seed=seed,
    crop_area=getattr(dataset, 'crop_area', None),
    sharding=batches.sharding,
  )
  rows: list[dict[str, Any]] = []
  store, told = loop.in_memory(rows), contextlib.nullcontext()
  if workdir is not None:
    identity = record_lib.fingerprint(
      network,
      recipe,
      seed,
      steps,
      datasets.content_of(dataset),
      taught.record and taught.record['content'],
    )
    store = loop.in_workdir(
      workdir, identity, _log_every(recipe, steps), feed.position
    )
    told = diverged_file.written(workdir)
  watch = divergence.Watch(
    functools.partial(_diverged, recipe, steps), recipe.skip_nonfinite
  )
  who = '' if bar is None or workdir is None else f'{workdir.name}: '
  with told:
    state = _steps(
      store,
      built.parts,
      feed,
      taught,
      recipe,
      steps,
      seed,
      bar,
      who,
      watch,
      checked,
    )
  last = devices.own(train.weights(state))
  if processes.first():
    kept.save(weights.LAST, last, {})
  test = functools.partial(measure, dataset.test)
  noted = {}
  if valid is not None and not choose:
    noted['valid_accuracy'] = measure(valid, train.weights(state))
  result: dict[str, Any] = {
    **accuracies(kept, network, test, state),
    **noted,
    'train_images': dataset.num_train,
    'valid_images': 0 if valid is None else datasets.size_of(valid),
    'test_images': dataset.num_test,
    **facts(network, dataset.sizes),
    'dataset': dataset.name,
    'test_split': dataset.test_split,
    'classes': classes,
    'normalisation': {'mean': list(batches.mean), 'std': list(batches.std)},
    'seed': seed,
    'recipe': dataclasses.asdict(recipe),
    'teacher': taught.record,
    'versions': record_lib.versions(),
    'device': jax.devices()[0].device_kind,
    **record,
  }
  if processes.first() and workdir is not None:
    files.write_json(workdir / 'result.json', result)
  load = functools.partial(kept.load, result['evaluated'], network)
  if workdir is not None:
    rows = metrics_file.read(workdir)
  return Trained(network, result, load, rows)


def _before(workdir, network, among, bar, steps) -> Trained | None:
  """The result of a finished training; None where there is none.

  Raises:
    InputError: the workdir holds another network.
    DivergedError: the earlier training diverged.
  """
  finished.check_workdir(workdir, network, among)
  over = (workdir / 'result.json').exists()
  diverged = diverged_file.read(workdir)
  if (over or diverged) and bar is not None:
    bar.skip(steps)
  if over:
    result = finished.result(workdir / 'result.json')
    name = result.get('evaluated', weights.LAST)
    load = functools.partial(weights.load, workdir, name, network)
    return Trained(network, result, load)
  if diverged:
    raise DivergedError(diverged)
  return None


def _log_every(recipe: Recipe, steps: int) -> int:
  """Steps between lines of metrics: four lines an epoch."""
  return max(1, steps // recipe.epochs // 4)


def _steps(
  store, parts, feed, taught, recipe, steps, seed, bar, who, watch, checked
):
  """Takes all missing steps; returns the last state."""
  key, sharding = jax.random.key(seed), feed.sharding
  of_teacher = devices.everywhere(taught.variables, sharding)

  def compile_all():
    shapes, start = compilation.initial(
      lambda key: parts.init(key, feed.like), key, sharding=sharding
    )
    step = compilation.compiled(
      who + 'step', parts.step, shapes, feed.like, of_teacher
    )
    return start(), step

  with contextlib.ExitStack() as stack:
    own = bar or stack.enter_context(bars.Progress('train', steps))
    pool = ThreadPoolExecutor(1)
    compiling = pool.submit(compile_all)
    pool.shutdown(wait=False)
    state, step = interrupts.wait(compiling, own.wait)
    return loop.run(
      store,
      state,
      lambda state, i: step(state, feed.next(), of_teacher),
      steps=steps,
      log_every=_log_every(recipe, steps),
      checkpoint_every=steps // recipe.epochs,
      describe=lambda metrics: who + described(metrics),
      name='train',
      watch=watch,
      watched=lambda state: state,
      bar=own,
      **({} if checked is None else {'checked': checked}),
    )


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
