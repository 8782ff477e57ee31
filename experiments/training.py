"""The training of one network in its workdir, whatever told of it."""

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax

from experiments import (
  compilation,
  datasets,
  devices,
  diverged_file,
  divergence,
  feeds,
  finished,
  interrupts,
  loop,
  processes,
  progress,
  weights,
)
from experiments import recipe as recipes
from experiments.recipe import Recipe
from nasjax import cost, data, files, train
from nasjax.data import stream
from nasjax.errors import DivergedError
from nasjax.space import Architecture, Space


class Built(NamedTuple):
  """The pure functions of a training.

  Trainings that share them, as those of several seeds, are traced once.

  Attributes:
    parts: its start and its step.
    predict: `(params, batch_stats, images) -> labels`, jitted.
  """

  parts: train.Train
  predict: Callable


def build(
  network: Space,
  dataset: data.Dataset | stream.Streamed,
  batches: data.Batches,
  recipe: Recipe,
  taught: finished.Taught = finished.Taught(),  # noqa: B008 (immutable)
) -> Built:
  """What `run` makes of its arguments, which see."""
  parts = train.make(
    recipe.of_network(network),
    batches,
    tx=recipe.tx(recipes.steps_of(recipe, dataset)),
    smoothing=recipe.smoothing,
    decay=recipe.ema_decay,
    teacher=taught.teacher,
    numerics=recipe.numerics,
    skip_nonfinite=recipe.skip_nonfinite > 0,
  )
  return Built(parts, jax.jit(train.predict(network, batches, recipe.numerics)))


def run(
  workdir: pathlib.Path,
  network: Space,
  dataset: data.Dataset | stream.Streamed,
  batches: data.Batches,
  recipe: Recipe,
  *,
  seed: int,
  record: dict[str, Any],
  bar: progress.Progress | None = None,
  crop_area: float = stream.CROP_AREA,
  valid: data.Arrays | Sequence | None = None,
  choose: bool = True,
  taught: finished.Taught = finished.Taught(),  # noqa: B008 (immutable)
  built: Built | None = None,
  among: Space | None = None,
) -> dict[str, Any]:
  """Trains on all training images, tests on all test images.

  Args:
    workdir: claimed.
    network: one op in every slot.
    dataset: decoded or streamed, without what is held out.
    batches: how a batch of it is made.
    recipe: how to train.
    seed: of the initial weights, the order and the augmentation.
    record: what else `result.json` is to hold.
    bar: progress shared with other runs; the loss in it is named after the
      workdir.
    crop_area: least share of an image that a stream cuts out of it.
    valid: images that were held out; after each epoch they decide whether its
      weights are the best ones. None keeps the last weights alone.
    choose: False, and `valid` chooses nothing: the last weights are tested, and
      their accuracy on it is noted.
    taught: the teacher and its weights, if there is one.
    built: of a training that differs by its seed alone; None builds its own.
    among: as of `finished.check_workdir`.

  Returns:
    What was written to `result.json`.

  Raises:
    InputError: the workdir holds another network.
    DivergedError: the training did, now or before: its `diverged.json` says so.
  """
  finished.check_workdir(workdir, network, among)
  steps = recipes.steps_of(recipe, dataset)
  over = (workdir / 'result.json').exists()
  before = diverged_file.read(workdir)
  if (over or before) and bar is not None:
    bar.skip(steps)
  if over:
    return finished.result(workdir / 'result.json')
  if before:
    raise DivergedError(before)
  if processes.first() and not (workdir / 'architecture.json').exists():
    Architecture(network, ()).save(
      workdir / 'architecture.json', classes=datasets.classes_of(dataset)
    )
  built = built or build(network, dataset, batches, recipe, taught)

  def measure(images, own: train.Weights) -> float:
    own = devices.own(own)
    return datasets.accuracy(built.predict, own, images, network.image_size)

  checked = None
  if valid is not None and choose:
    checked = weights.keeper(
      workdir,
      functools.partial(measure, valid),
      datasets.classes_of(dataset),
    )
  feed = feeds.of(
    dataset.train,
    recipe.batch_size,
    dataset.image_shape,
    seed=seed,
    crop_area=crop_area,
    sharding=batches.sharding,
  )
  identity = loop.fingerprint(
    network,
    recipe,
    seed,
    steps,
    datasets.content_of(dataset),
    taught.record and taught.record['content'],
  )
  watch = divergence.Watch(
    functools.partial(_diverged, recipe, steps), recipe.skip_nonfinite
  )
  with diverged_file.written(workdir):
    state = _steps(
      workdir,
      built.parts,
      feed,
      taught,
      seed,
      steps,
      recipe.epochs,
      bar,
      identity,
      watch,
      checked,
    )
  if processes.first():
    last = devices.own(train.weights(state))
    weights.save(workdir, weights.LAST, last, datasets.classes_of(dataset))
  test = functools.partial(measure, dataset.test)
  noted = {}
  if valid is not None and not choose:
    noted['valid_accuracy'] = measure(valid, train.weights(state))
  result = {
    **accuracies(workdir, network, test, state),
    **noted,
    'train_images': dataset.num_train,
    'valid_images': 0 if valid is None else datasets.size_of(valid),
    'test_images': dataset.num_test,
    **facts(network),
    'dataset': dataset.name,
    'test_split': dataset.test_split,
    'classes': datasets.classes_of(dataset),
    'normalisation': {'mean': list(batches.mean), 'std': list(batches.std)},
    'seed': seed,
    'recipe': dataclasses.asdict(recipe),
    'teacher': taught.record,
    'versions': loop.versions(),
    'device': jax.devices()[0].device_kind,
    **record,
  }
  if processes.first():
    files.write_json(workdir / 'result.json', result)
  return result


def _steps(
  workdir,
  parts,
  feed,
  taught,
  seed,
  steps,
  epochs,
  bar,
  identity,
  watch,
  checked,
):
  """Takes all steps, or those that an earlier process left; the last state."""
  who = '' if bar is None else f'{workdir.name}: '
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
    own = bar or stack.enter_context(progress.Progress('train', steps))
    pool = ThreadPoolExecutor(1)
    compiling = pool.submit(compile_all)
    pool.shutdown(wait=False)
    state, step = interrupts.wait(compiling, own.wait)
    return loop.run(
      workdir,
      state,
      lambda state, i: step(state, feed.next(), of_teacher),
      steps=steps,
      log_every=max(1, steps // epochs // 4),
      checkpoint_every=steps // epochs,
      describe=lambda metrics: who + described(metrics),
      name='train',
      identity=identity,
      watch=watch,
      watched=lambda state: state,
      bar=own,
      feed=feed.position,
      **({} if checked is None else {'checked': checked}),
    )


def _diverged(recipe: Recipe, steps: int, bad: divergence.Bad) -> str:
  """What is said of a training that is no longer finite."""
  rate = float(recipe.rate(steps)(bad.step - 1))
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
  """What the progress bar says."""
  text = f'loss {metrics["train_loss"]:.3f}'
  if 'valid_accuracy' in metrics:
    text += f', valid {100 * metrics["valid_accuracy"]:.2f} %'
  return text


def accuracies(
  workdir: pathlib.Path,
  network: Space,
  test: Callable[[train.Weights], float],
  state: train.State,
) -> dict[str, Any]:
  """On the test images, which had no part in what is chosen here.

  `test_accuracy` is that of the weights which were best on the images held
  out, or of the last ones where none were; `evaluated` says which. Beside it
  stand the others, and with moving averages the weights that were averaged
  (`raw_test_accuracy`).
  """
  found = {'last_test_accuracy': test(train.weights(state))}
  if state.average:
    raw = train.Weights(state.params, state.batch_stats)
    found['raw_test_accuracy'] = test(raw)
  name, best = weights.LAST, weights.best(workdir)
  if best is not None:
    name = weights.BEST
    own = weights.load(workdir, name, network)
    found |= {
      'best_test_accuracy': test(own),
      'best_step': best['step'],
      'valid_accuracy': best['valid_accuracy'],
    }
  return {
    'test_accuracy': found[f'{name}_test_accuracy'],
    'evaluated': name,
    **found,
  }


def facts(network: Space) -> dict[str, Any]:
  """What a network is and costs."""
  return {
    'macs': cost.macs(network).constant,
    'params': cost.params(network).constant,
    'memory': cost.memory(network).constant,
    'network': network.name,
    'ops': {slot.name: slot.ops[0].name for slot in network.slots},
    'image_size': network.image_size,
    'channels': network.channels,
    'num_classes': network.num_classes,
  }
