"""The weights that a training leaves: the last ones, and the best ones.

    weights/last/    what is evaluated at the end
    weights/best/    what was best on the images held out for validation, with
                     `best.json`, which says when and how good

Both are Orbax checkpoints of `nasjax.train.Weights`, without the optimizer;
their metadata has the names of the classes. Orbax reads arrays and JSON alone:
it imports and unpickles nothing that a file names.
"""

import contextlib
import functools
import pathlib
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from nasjax import files, train
from nasjax.errors import InputError
from nasjax.ops import Numerics
from nasjax.run.hosts import devices, processes
from nasjax.run.workdir import (
  schema,
  stored,
)
from nasjax.space import SearchSpace

LAST, BEST = 'last', 'best'
_BEST = schema.fields(step=schema.whole, valid_accuracy=schema.share)
_NAMES = schema.each(schema.text)


def save(
  workdir: pathlib.Path,
  name: str,
  found: train.Weights,
  classes: Sequence[str],
) -> None:
  """Writes weights, whole or not at all.

  Args:
    workdir: of the run.
    name: which of its weights.
    found: these.
    classes: names of what the logits are of, in their order.
  """
  store(workdir, name, found._asdict(), {'classes': list(classes)})


def store(
  workdir: pathlib.Path,
  name: str,
  arrays: dict[str, Any],
  metadata: dict[str, Any] | None = None,
) -> None:
  """Writes arrays, and JSON values that belong to them, whole or not at all."""
  import orbax.checkpoint as ocp  # Takes a second: not for who only counts.

  path = workdir / 'weights' / name
  with (
    files.writing(path),
    stored.quiet(),
    ocp.StandardCheckpointer(**processes.alone()) as writer,
  ):
    writer.save(path.absolute(), arrays, force=True, custom_metadata=metadata)
    writer.wait_until_finished()


def load(
  workdir: pathlib.Path, name: str, network: SearchSpace
) -> train.Weights:
  """Reads weights of a network.

  Raises:
    InputError: there are none, they are another network's, or damaged.
  """
  like = jax.eval_shape(lambda: _init(network))._asdict()
  return train.Weights(**restore(workdir, name, like, network.name))


def classes(workdir: pathlib.Path, name: str) -> tuple[str, ...] | None:
  """Class names of weights; None for older runs and for weights without.

  Raises:
    InputError: there are no such weights, or their metadata is damaged.
  """
  path = _folder(workdir, name)
  import orbax.checkpoint as ocp

  with ocp.StandardCheckpointer(**processes.alone()) as reader:
    with _readable(path):
      found = reader.metadata(path.absolute()).custom_metadata or {}
  schema.hold(path, found, schema.known({'classes': _NAMES}))
  return tuple(found['classes']) if 'classes' in found else None


def restore(
  workdir: pathlib.Path, name: str, like: dict[str, Any], what: str
) -> dict[str, Any]:
  """Reads arrays.

  Args:
    workdir: of the run.
    name: which of its weights.
    like: their shapes.
    what: they are wanted for.

  Raises:
    InputError: there are none, they have other shapes, or are damaged.
  """
  import orbax.checkpoint as ocp

  path = _folder(workdir, name)
  with ocp.StandardCheckpointer(**processes.alone()) as reader:
    with _readable(path):
      there = reader.metadata(path.absolute()).item_metadata.tree
      check_same(path, there, like, what)
      return reader.restore(path.absolute(), like)


def _folder(workdir: pathlib.Path, name: str) -> pathlib.Path:
  path = workdir / 'weights' / name
  if not path.is_dir():
    raise InputError(f'{workdir} holds no finished training: no weights/{name}')
  return path


@contextlib.contextmanager
def _readable(path: pathlib.Path) -> Generator[None]:
  """Makes what Orbax says of damaged files one line."""
  try:
    files.check_all_regular(path)
    with stored.quiet():
      yield
  except InputError:
    raise
  except Exception as e:
    # It has an error of another type for each file that is damaged.
    line = str(e).strip().partition('\n')[0] or type(e).__name__
    raise InputError(f'{path} cannot be read as weights: {line}') from e


def check_same(path: pathlib.Path, there: Any, like: Any, name: str) -> None:
  """Raises InputError, with the first difference, unless shapes are the same.

  Args:
    path: of what is read, for the message.
    there: tree of what lies there.
    like: tree of what is wanted.
    name: of what it is wanted for.
  """
  found, wanted = _shapes(there), _shapes(like)
  for key in sorted({*found, *wanted}):
    if found.get(key) != wanted.get(key):
      has, needs = (
        'none' if at.get(key) is None else f'shape {at[key]}'
        for at in (found, wanted)
      )
      raise InputError(
        f'{path} is not of {name!r}: of {key} it has {has}, the network {needs}'
      )


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
  leaves = jax.tree_util.tree_leaves_with_path(
    tree, is_leaf=lambda x: hasattr(x, 'shape')
  )
  keystr = jax.tree_util.keystr
  return {
    keystr(path, simple=True, separator='/'): tuple(leaf.shape)
    for path, leaf in leaves
  }


def _init(network: Any) -> train.Weights:
  # Every kind of network that is written to files has these sizes.
  shape = 1, network.image_size, network.image_size, network.channels
  net = network.network(Numerics())
  images = jax.numpy.zeros(shape)
  made = net.init(jax.random.key(0), images, {}, train=False)
  stats = made['batch_stats'] if 'batch_stats' in made else {}
  return train.Weights(made['params'], stats)


class Kept(NamedTuple):
  """Where a training keeps its weights.

  Attributes:
    save: `(name, weights, note)`: keeps them, and for the best ones a note of
      `step` and `valid_accuracy`.
    load: `(name, network) -> weights`.
    best: the note of the best weights so far; None where there are none.
  """

  save: Callable[[str, train.Weights, dict[str, Any]], None]
  load: Callable[[str, SearchSpace], train.Weights]
  best: Callable[[], dict[str, Any] | None]


def in_workdir(workdir: pathlib.Path, classes: Sequence[str]) -> Kept:
  """Keeps weights in a workdir, with the names of the classes."""

  def keep(name: str, found: train.Weights, note: dict[str, Any]) -> None:
    save(workdir, name, found, classes)
    if name == BEST:
      files.write_json(workdir / 'best.json', note)

  return Kept(
    keep, functools.partial(load, workdir), functools.partial(best, workdir)
  )


def in_memory() -> Kept:
  """Keeps weights on the host; nothing is written."""
  kept: dict[str, train.Weights] = {}
  notes: dict[str, dict[str, Any]] = {}

  def keep(name: str, found: train.Weights, note: dict[str, Any]) -> None:
    # Copies: the next step overwrites the arrays on the device.
    kept[name] = jax.tree.map(np.array, found)
    notes[name] = note

  return Kept(keep, lambda name, network: kept[name], lambda: notes.get(BEST))


def keeper(
  kept: Kept, measure: Callable[[train.Weights], float]
) -> Callable[[train.State, int], dict[str, float]]:
  """A function that looks at a state and keeps its weights if they are best.

  A training that was killed and goes on meets the same states again and keeps
  the same weights: only what is better than all before replaces them.

  Args:
    kept: where they are kept.
    measure: their accuracy on images for validation.

  Returns:
    `(state, step) -> metrics`.
  """

  def look(state: train.State, step: int) -> dict[str, float]:
    found = train.weights(state)
    accuracy = measure(found)
    before = kept.best()
    better = before is None or accuracy > before['valid_accuracy']
    if better and processes.first():
      note = {'step': step, 'valid_accuracy': accuracy}
      kept.save(BEST, devices.own(found), note)
    return {'valid_accuracy': accuracy}

  return look


def best(workdir: pathlib.Path) -> dict[str, Any] | None:
  """Step and accuracy of the best weights so far; None where there are none."""
  path = workdir / 'best.json'
  return schema.read(path, _BEST) if path.exists() else None
