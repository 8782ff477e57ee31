"""A whole training: from a network and images to accuracy and weights."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from nasjax import data, files, train
from nasjax.data import stream, stream_batches
from nasjax.errors import DivergedError
from nasjax.run import datasets, finished, train_loop
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
  one = train_loop.Training(
    workdir,
    network,
    dataset,
    batches,
    recipe,
    datasets.steps_of(recipe, dataset),
    seed,
    taught,
    bar,
  )
  before = _before(one, among)
  if before is not None:
    return before
  built = built or build(network, dataset, batches, recipe, taught)
  measure = functools.partial(_accuracy, one, built.predict)
  kept = weights.in_memory()
  if workdir is not None:
    kept = weights.in_workdir(workdir, one.classes)
  checked = None
  if valid is not None and choose:
    checked = weights.keeper(kept, functools.partial(measure, valid))
  rows: list[dict[str, Any]] = []
  state = train_loop.run(one, built.parts, rows, checked)
  last = devices.own(train.weights(state))
  if processes.first():
    kept.save(weights.LAST, last, {})
  test = functools.partial(measure, dataset.test)
  found = accuracies(kept, network, test, state)
  if valid is not None and not choose:
    found['valid_accuracy'] = measure(valid, train.weights(state))
  result = {**found, **_described(one, valid), **record}
  if processes.first() and workdir is not None:
    files.write_json(workdir / 'result.json', result)
  load = functools.partial(kept.load, result['evaluated'], network)
  if workdir is not None:
    rows = metrics_file.read(workdir)
  return Trained(network, result, load, rows)


def _before(
  one: train_loop.Training, among: SearchSpace | None
) -> Trained | None:
  """The result of a finished training; None where there is none.

  A workdir without one gets the file of the network.

  Raises:
    InputError: the workdir holds another network.
    DivergedError: the earlier training diverged.
  """
  workdir, network = one.workdir, one.network
  if workdir is None:
    return None
  finished.check_workdir(workdir, network, among)
  over = (workdir / 'result.json').exists()
  diverged = diverged_file.read(workdir)
  if (over or diverged) and one.bar is not None:
    one.bar.skip(one.steps)
  if over:
    result = finished.result(workdir / 'result.json')
    name = result.get('evaluated', weights.LAST)
    load = functools.partial(weights.load, workdir, name, network)
    return Trained(network, result, load)
  if diverged:
    raise DivergedError(diverged)
  path = workdir / 'architecture.json'
  if processes.first() and not path.exists():
    Architecture(network, ()).save(path, classes=one.classes)
  return None


def _accuracy(
  one: train_loop.Training,
  predict: Callable,
  images: data.Arrays | stream.Decoded,
  own: train.Weights,
) -> float:
  """Accuracy of some weights on some images, from 0 to 1."""
  size = one.dataset.image_shape[0]
  return datasets.accuracy(predict, devices.own(own), images, size)


def _described(
  one: train_loop.Training, valid: data.Arrays | stream.Decoded | None
) -> dict[str, Any]:
  """Values of `result.json` that describe a training."""
  dataset = one.dataset
  in_memory = isinstance(dataset, data.Dataset)
  return {
    'train_images': dataset.num_train,
    'valid_images': 0 if valid is None else datasets.size_of(valid),
    'test_images': dataset.num_test,
    **facts(one.network, dataset.sizes),
    'dataset': dataset.name,
    'test_split': dataset.test_split,
    'classes': one.classes,
    'normalisation': {
      'mean': list(one.batches.mean),
      'std': list(one.batches.std),
    },
    # Of the shorter edge of a test image, see `nasjax.data.images.middle`.
    'test_crop': 1.0 if in_memory else stream_batches.TEST_SHARE,
    'seed': one.seed,
    'recipe': dataclasses.asdict(one.recipe),
    'teacher': one.taught.record,
    'versions': record_lib.versions(),
    'device': jax.devices()[0].device_kind,
  }
