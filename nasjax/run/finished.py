"""Finished trainings: test them again, or use them as teachers."""

import functools
import hashlib
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from nasjax import data, options, train
from nasjax.data import stream
from nasjax.errors import InputError
from nasjax.ops import Numerics
from nasjax.run import datasets
from nasjax.run import record as record_lib
from nasjax.run.trained import Trained
from nasjax.run.workdir import (
  diverged_file,
  schema,
  weights,
)
from nasjax.space import (
  Architecture,
  CellSpace,
  SearchSpace,
  Space,
  difference,
  op_types,
)
from nasjax.train import distill
from nasjax.train.recipe import Recipe

# What is read of any `result.json`: by comparisons, sweeps and finalists.
_TRAINED = {
  'test_accuracy': schema.share,
  'test_images': schema.whole,
  'macs': schema.whole,
  'params': schema.whole,
  'network': schema.text,
  'dataset': schema.text,
}
_CHANNELS = schema.each(schema.number)
# What else is read to evaluate its weights, or to learn from them.
_EVALUATED = {
  **_TRAINED,
  'evaluated': schema.one_of(weights.LAST, weights.BEST),
  'recipe': schema.flags(options.of(Recipe)),
  'normalisation': schema.fields(mean=_CHANNELS, std=_CHANNELS),
  # Older runs have a hash of the names.
  'classes': schema.either(schema.each(schema.text), schema.text),
}


class Run(NamedTuple):
  """A finished training.

  Attributes:
    workdir: its workdir.
    network: its network, nothing is open in it.
    result: the content of `result.json`.
  """

  workdir: pathlib.Path
  network: Space | CellSpace
  result: dict[str, Any]

  @property
  def numerics(self) -> Numerics:
    """How the network was computed."""
    return Recipe(**self.result['recipe']).numerics

  @property
  def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of its images."""
    normal = self.result['normalisation']
    return tuple(normal['mean']), tuple(normal['std'])


def result(path: pathlib.Path) -> dict[str, Any]:
  """Reads a `result.json`.

  Raises:
    InputError: the file cannot be read, or lacks fields.
  """
  return schema.read(path, schema.fields(**_TRAINED))


def read(workdir: pathlib.Path, ops: tuple[type, ...] = ()) -> Run:
  """Reads a finished training.

  Args:
    workdir: workdir of the training.
    ops: the user's op classes that its network may have. No module is imported
      because the run names it.

  Raises:
    InputError: there is no finished training, or a file is damaged.
  """
  path = workdir / 'result.json'
  if not path.exists():
    if why := diverged_file.read(workdir):
      raise InputError(f'{workdir} holds no weights to use: {why}')
    raise InputError(f'{workdir} holds no finished training: no result.json')
  found = schema.read(path, schema.fields(**_EVALUATED))
  tested = {f'{found["evaluated"]}_test_accuracy': schema.share}
  schema.hold(path, found, schema.fields(**tested))
  # Older runs lack it.
  schema.hold(path, found, schema.known({'test_crop': schema.share}))
  a = architecture(workdir, ops)
  run = Run(workdir, a.space.fix(a), found)  # pyrefly: ignore
  try:
    data.Batches(1, *run.normalisation), run.numerics
  except (TypeError, ValueError) as e:
    raise InputError(
      f'{path} is not what this version writes ({e}); train again'
    ) from e
  if any(len(n) != run.network.channels for n in run.normalisation):
    raise InputError(
      f'{path} has a normalisation of {found["normalisation"]}; the network '
      f'takes images of {run.network.channels} channels'
    )
  return run


def load(workdir: str | pathlib.Path, ops: tuple[type, ...] = ()) -> Trained:
  """A finished training, as `nasjax.run.train` returned it.

  Args:
    workdir: workdir of the training.
    ops: the user's op classes that its network may have.

  Returns:
    The network with its result and its evaluated weights.

  Raises:
    InputError: there is no finished training, or a file is damaged.
  """
  run = read(pathlib.Path(workdir).expanduser(), ops)
  name, network = run.result['evaluated'], run.network
  classes = run.result['classes']
  if not isinstance(classes, list):
    classes = weights.classes(run.workdir, name)
  if classes is None:
    classes = map(str, range(network.num_classes))
  names = list(classes)
  result = {
    **run.result,
    'classes': names,
    'image_size': network.image_size,
    'channels': network.channels,
    'num_classes': network.num_classes,
  }
  if len(names) != network.num_classes:
    raise InputError(
      f'{run.workdir} has the names of {len(names)} classes; its '
      f'network has {network.num_classes}'
    )
  read_weights = functools.partial(weights.load, run.workdir, name, network)
  return Trained(network, result, read_weights)


def architecture(
  workdir: pathlib.Path, ops: tuple[type, ...] = ()
) -> Architecture:
  """The architecture of a search or of a training.

  Args:
    workdir: workdir of the search or of the training.
    ops: the user's op classes that it may have.

  Raises:
    InputError: there is none, it is damaged, or it has other ops; the message
      then names the module that the run took them from.
  """
  path = workdir / 'architecture.json'
  try:
    return Architecture.load(path, ops)
  except InputError as e:
    module = None if ops else _module_of(workdir)
    if module is None:
      raise
    raise InputError(
      f'{e}; the run had ops of its own: if you trust its code, give '
      f'ops={module}'
    ) from e


def _module_of(workdir: pathlib.Path) -> str | None:
  """The module of a run's ops or space, as its config names it."""
  try:
    config = record_lib.read_json(workdir / 'config.json')
  except InputError:
    return None
  for name in ('ops', 'space') if isinstance(config, dict) else ():
    module, colon, _ = str(config.get(name)).partition(':')
    if all(map(str.isidentifier, module.split('.'))):
      if config.get(name) is not None and (name == 'ops' or colon):
        return module
  return None


def check_network(run: Run, network: SearchSpace) -> None:
  """Raises InputError, with the first difference, for another network."""
  differ = difference(run.network, network)
  if not differ:
    return
  raise InputError(
    f'{run.workdir} holds another architecture ({differ}); leave the network '
    'out, or give the workdir that is meant'
  )


def check_workdir(
  workdir: pathlib.Path,
  network: SearchSpace,
  among: SearchSpace | None = None,
) -> None:
  """Raises InputError where a workdir has another network.

  Args:
    workdir: workdir of a training, which may not have begun.
    network: the network to train there.
    among: the space that the network was chosen from, whose ops the file may
      have; None takes those of the network.
  """
  path = workdir / 'architecture.json'
  if path.exists():
    a = Architecture.load(path, op_types(among or network))
    check_network(Run(workdir, a.space.fix(a), {}), network)  # pyrefly: ignore


def evaluate(
  run: Run, dataset: data.Dataset | stream.Streamed
) -> dict[str, float]:
  """Test accuracy of each of a run's weights, by name.

  Raises:
    InputError: the weights are missing, damaged or another network's.
  """
  batches = data.Batches(1, *run.normalisation)
  predict = jax.jit(train.predict(run.network.network(run.numerics), batches))
  size, found = run.network.image_size, {}
  for name in (weights.LAST, weights.BEST):
    if f'{name}_test_accuracy' in run.result:
      own = weights.load(run.workdir, name, run.network)
      found[name] = datasets.accuracy(predict, own, dataset.test, size)
  return found


class Taught(NamedTuple):
  """A teacher with its weights.

  Attributes:
    teacher: the static part; None without a teacher.
    variables: its `params` and `batch_stats`.
    record: the entry in `result.json`.
  """

  teacher: distill.Teacher | None = None
  variables: Any = ()
  record: dict[str, Any] | None = None


def teacher(
  workdir: pathlib.Path,
  dataset: data.Dataset | stream.Streamed,
  weight: float,
  temperature: float,
  ops: tuple[type, ...] = (),
) -> Taught:
  """Makes a finished training the teacher of another one.

  Args:
    workdir: workdir of the teacher.
    dataset: data set of the student.
    weight: weight of the teacher's loss, above 0 and at most 1.
    temperature: temperature at which outputs are compared.
    ops: the user's op classes that the teacher's network may have.

  Raises:
    InputError: no finished training, one of other images or classes, or a
      number out of its range.
  """
  if not 0 < weight <= 1:
    raise InputError(
      f'distill_weight is {weight}; it must be above 0 and at most 1'
    )
  if not 0 < temperature < float('inf'):
    raise InputError(
      f'distill_temperature is {temperature}; it must be positive and finite'
    )
  run = read(workdir, ops)
  size = run.network.image_size
  taught = size, size, run.network.channels
  if taught != tuple(dataset.image_shape):
    raise InputError(
      f'the teacher {workdir} takes images of {taught}, those of '
      f'{dataset.name} are {tuple(dataset.image_shape)}'
    )
  if not _same_classes(run.result['classes'], dataset.class_names):
    raise InputError(
      f'the teacher {workdir} was trained on {run.result["dataset"]}, whose '
      f'classes are not those of {dataset.name}'
    )
  name = run.result['evaluated']
  own = weights.load(workdir, name, run.network)
  record = {
    'workdir': str(workdir),
    'weights': name,
    'content': content(own),
    'distill_weight': weight,
    'distill_temperature': temperature,
    **{k: run.result[k] for k in ('network', 'macs', 'test_accuracy')},
  }
  static = distill.Teacher(
    run.network, *run.normalisation, weight, temperature, run.numerics
  )
  return Taught(static, own._asdict(), record)


def _same_classes(found: list[str] | str, names: Sequence[str]) -> bool:
  """Whether a result has these classes; older results have their hash."""
  if isinstance(found, list):
    return found == list(names)
  return found == record_lib.fingerprint(tuple(names))


def content(found: train.Weights) -> str:
  """A short hash of weights."""
  digest = hashlib.sha256()
  for leaf in jax.tree.leaves(found):
    digest.update(np.asarray(leaf).tobytes())
  return digest.hexdigest()[:16]
