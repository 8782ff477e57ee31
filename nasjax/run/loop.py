"""The loop around a step: progress, metrics, checkpoints, resuming.

A workdir holds

    config.json      the flags of the run, written before it starts
    lock             says which process works there
    metrics.jsonl    one line per logged step
    checkpoints/     the whole state, by Orbax; `checkpoints_damaged/` has those
                     that could not be read
    diverged.json    why the run ended, if it diverged

A run that is started again resumes from its newest intact checkpoint. Later
lines of metrics are cut, so that every line is there once.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from nasjax import files
from nasjax.errors import InputError
from nasjax.run import divergence, hardware, interrupts, progress
from nasjax.run.hosts import processes
from nasjax.run.workdir import checkpoints, lock, metrics_file


@contextlib.contextmanager
def claimed(
  workdir: str | pathlib.Path, config: dict[str, Any]
) -> Iterator[pathlib.Path]:
  """Claims a workdir and locks it for this process; see `claim`.

  Raises:
    InputError: as `claim`, or another process works in the workdir.
  """
  if not processes.first():
    yield claim(workdir, config)
    return
  path = pathlib.Path(workdir).expanduser()
  try:
    # Before a lock is put into what may be no workdir at all.
    _decide(path, _complete(config))
    with files.writing(path):
      path.mkdir(parents=True, exist_ok=True)
    held = lock.hold(path)
    held.__enter__()
  except BaseException:
    processes.wait('claim')
    raise
  with contextlib.ExitStack() as stack:
    stack.push(held)
    yield claim(path, config)


def claim(workdir: str | pathlib.Path, config: dict[str, Any]) -> pathlib.Path:
  """Makes a workdir that of this run, or checks that it is.

  A workdir without any step accepts another config, so that a mistyped flag can
  be corrected.

  Args:
    workdir: made if it does not exist.
    config: everything that decides what the run computes; versions are added.

  Returns:
    The workdir as a path.

  Raises:
    InputError: the workdir holds a run with another config, or files of no
      run. Nothing is changed then.
  """
  workdir = pathlib.Path(workdir).expanduser()
  if not processes.first():
    processes.wait('claim')
  try:
    _claim(workdir, _complete(config))
    if processes.first():
      hardware.say()
    return workdir
  finally:
    # In any case: the other processes see the same outcome.
    if processes.first():
      processes.wait('claim')


def _complete(config: dict[str, Any]) -> dict[str, Any]:
  return json.loads(json.dumps({**config, 'versions': versions()}))


def _claim(workdir: pathlib.Path, config: dict[str, Any]) -> None:
  if not _decide(workdir, config):
    return
  with files.writing(workdir):
    workdir.mkdir(parents=True, exist_ok=True)
    # It is that of a network that was never trained.
    (workdir / 'architecture.json').unlink(missing_ok=True)
  files.write_json(workdir / 'config.json', config)


def _decide(workdir: pathlib.Path, config: dict[str, Any]) -> bool:
  """Whether a config has to be written; raises where it must not be."""
  path = workdir / 'config.json'
  try:
    str(workdir.absolute()).encode()
  except UnicodeEncodeError as e:
    raise InputError(
      f'workdir {workdir} has a name that is not in UTF-8, which '
      'checkpoints need; give another one'
    ) from e
  try:
    if path.exists():
      found = read_json(path)
      if not isinstance(found, dict):
        raise InputError(f'{path} is not what a run writes: no JSON object')
      if found != config and not _untouched(workdir):
        _check_same(workdir, found, config)
      return found != config
    if workdir.exists() and not workdir.is_dir():
      raise InputError(f'workdir {workdir} is a file; give a directory')
    if workdir.exists() and any(map(_foreign, workdir.iterdir())):
      raise InputError(
        f'workdir {workdir} holds files but no run; give an empty one'
      )
  except OSError as e:
    raise InputError(f'workdir {workdir}: {e.strerror}') from e
  return True


def _foreign(path: pathlib.Path) -> bool:
  # A kill while the config was written leaves its unfinished part alone.
  # Locks of parts of a sweep have a suffix.
  return path.stem != lock.NAME and not path.name.endswith('.part')


def _untouched(workdir: pathlib.Path) -> bool:
  """Whether no step was taken in a claimed workdir."""
  for path in workdir.iterdir():
    if path.name in ('config.json', 'architecture.json') or not _foreign(path):
      continue
    if path.name == 'metrics.jsonl' and path.is_file():
      if path.stat().st_size == 0:
        continue
    if path.name == 'checkpoints' and path.is_dir():
      if not any(p.name.isdigit() for p in path.iterdir()):
        continue
    # Searches of a sweep have workdirs in this folder.
    if path.name == 'searches' and path.is_dir():
      if all(map(_unused, path.iterdir())):
        continue
    return False
  return True


def _unused(path: pathlib.Path) -> bool:
  """Whether no step was taken in a workdir, and no process is in it."""
  locked = os.path.lexists(path / lock.NAME)
  return path.is_dir() and not locked and _untouched(path)


def _check_same(
  workdir: pathlib.Path, found: dict[str, Any], config: dict[str, Any]
) -> None:
  """Raises InputError, with what differs, unless two configs are the same."""
  alone = [k for k in found if k not in config]
  if alone and not config.keys() <= found.keys():
    raise InputError(
      f'workdir {workdir} holds a run of another script, or of another version '
      f'of this one, which was told {", ".join(alone[:3])}; give another '
      'workdir'
    )
  flags = [{**c, 'versions': None} for c in (found, config)]
  if differ := _differences(*flags):
    raise InputError(
      f'workdir {workdir} holds a run with other values: {differ}. Give the '
      'same values or another workdir'
    )
  if differ := _differences(*(_versions_in(c) for c in (found, config))):
    raise InputError(
      f'workdir {workdir} holds a run made by other versions: {differ}. '
      'Install those or give another workdir'
    )


def _versions_in(config: dict[str, Any]) -> dict[str, Any]:
  found = config.get('versions')
  return found if isinstance(found, dict) else {'all': found}


def _differences(found: dict[str, Any], config: dict[str, Any]) -> str:
  return '; '.join(
    f'{k} was {found.get(k)} and is {config.get(k)}'
    for k in sorted({*found, *config})
    if found.get(k) != config.get(k)
  )


def fingerprint(*parts: Any) -> str:
  """A short hash of the content of static structures and plain values."""
  return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def read_json(path: pathlib.Path) -> Any:
  """Reads JSON; an InputError says what is wrong with the file."""
  try:
    return json.loads(files.read_text(path))
  except OSError as e:
    raise InputError(f'{path}: {e.strerror}') from e
  except (ValueError, RecursionError) as e:
    raise InputError(f'{path} is truncated or no JSON: {e}') from e


class Store(NamedTuple):
  """Where a run keeps its state and its metrics.

  Attributes:
    restore: from the state at step 0 to the newest one that was kept.
    save: `(step, state)`, keeps a state.
    row: keeps a line of metrics.
    begun: called once, with the step that the run begins or goes on from.
    resumable: whether a run that is stopped by a signal can go on.
  """

  restore: Callable[[Any], Any]
  save: Callable[[int, Any], None]
  row: Callable[[dict[str, Any]], None]
  begun: Callable[[int], None] = lambda step: None
  resumable: bool = False


def in_memory(rows: list[dict[str, Any]]) -> contextlib.AbstractContextManager:
  """A store that writes nothing; it appends metrics to a list."""
  return contextlib.nullcontext(
    Store(lambda state: state, lambda step, state: None, rows.append)
  )


@contextlib.contextmanager
def in_workdir(
  workdir: pathlib.Path, identity: str, log_every: int, feed: Any = None
) -> Iterator[Store]:
  """A store in a claimed workdir.

  Args:
    workdir: claimed.
    identity: fingerprint of the run; checkpoints of other runs are refused.
    log_every: steps between lines of metrics.
    feed: iterator of batches, with `get_state` and `set_state`; its position is
      saved with the state. None where all images are on the device.
  """
  with contextlib.ExitStack() as stack:
    kept = stack.enter_context(
      checkpoints.open(workdir / 'checkpoints', identity, feed)
    )
    # Several processes would have to agree on a step before they save.
    alone = jax.process_count() == 1
    saved: list[Callable[[int], None]] = []
    writers: list[Callable[[dict[str, Any]], None]] = []

    def begun(step: int) -> None:
      if processes.first():
        metrics_file.cut(workdir, step, step // log_every * log_every)
      if alone:
        saved.append(
          stack.enter_context(interrupts.running(str(workdir), step))
        )
      if processes.first():
        path = workdir / metrics_file.NAME
        writers.append(stack.enter_context(metrics_file.append(path)))

    def save(step: int, state: Any) -> None:
      kept.save(step, state)
      for tell in saved:
        tell(step)

    def row(values: dict[str, Any]) -> None:
      for write in writers:
        write(values)

    yield Store(kept.restore, save, row, begun, alone)


def run(
  store: contextlib.AbstractContextManager[Store],
  state: Any,
  advance: Callable[[Any, int], tuple[Any, dict[str, Any]]],
  *,
  steps: int,
  log_every: int,
  checkpoint_every: int,
  describe: Callable[[dict[str, Any]], str],
  name: str,
  watch: divergence.Watch | None = None,
  watched: Callable[[Any], Any] = lambda state: (),
  extra: Callable[[Any], dict[str, Any]] = lambda state: {},
  stopped: Callable[[Any], bool] = lambda state: False,
  checked: Callable[[Any, int], dict[str, Any]] = lambda state, step: {},
  bar: progress.Progress | None = None,
) -> Any:
  """Runs a step from the newest saved state, or the start, to `steps`.

  Args:
    store: `in_memory` or `in_workdir`.
    state: state at step 0, a pytree of arrays with a field `step`.
    advance: `(state, step) -> (state, metrics)`, jitted by the caller.
    steps: where to stop.
    log_every: steps between lines of metrics; the last step is logged, too.
    checkpoint_every: steps between checkpoints; the last step has one, too.
    describe: metrics to the text behind the progress bar.
    name: the text before it.
    watch: ends a run with losses that are not finite; None checks nothing.
    watched: the part of a state that has to be finite for a checkpoint.
    extra: values of a state that are logged besides metrics.
    stopped: whether the run ends at this state, before `steps`.
    checked: looks at a state before it is kept as a checkpoint,
      `(state, step)`; the values that it returns are logged.
    bar: progress that several runs share; None shows this run alone.

  Returns:
    The state at `steps`, or where it stopped.

  Raises:
    DivergedError: `watch` says so; the checkpoints of before are kept.
    interrupts.Stopped: a signal asked for it; there is a checkpoint of the
      last step that was taken, if the store can resume.
  """
  watch = watch or divergence.Watch(lambda bad: f'{name} diverged')
  with contextlib.ExitStack() as stack:
    kept = stack.enter_context(store)
    state = kept.restore(state)
    start = last_saved = int(state.step)
    kept.begun(start)
    watch.saved(start)
    shown = bar or stack.enter_context(progress.Progress(name, steps))
    # Steps of an earlier process do not count for the speed of this one.
    shown.skip(start)
    late = _Late(kept.row, lambda metrics: shown.say(describe(metrics)))

    def examine(step: int, state: Any) -> None:
      watch.look(wait=True)
      watch.check_state(step, watched(state))

    def keep(step: int, state: Any) -> int:
      # Every line up to a checkpoint is there before it.
      late.write()
      kept.save(step, state)
      watch.saved(step)
      return step

    for step in range(start + 1, steps + 1):
      if stopped(state):
        break
      try:
        interrupts.check()
        state, metrics = advance(state, step)
      except interrupts.Stopped:
        if kept.resumable and last_saved < step - 1:
          examine(step - 1, state)
          keep(step - 1, state)
        raise interrupts.Stopped(
          f'stopped at step {step - 1} of {steps}; {interrupts.GOES_ON}'
        ) from None
      watch.put(step, metrics)
      watch.look()
      late.write()
      shown.step()
      last = step == steps or stopped(state)
      due = step % checkpoint_every == 0 or last
      if due:
        examine(step, state)
      found = checked(state, step) if due else {}
      if step % log_every == 0 or last or found:
        late.put(step, {**metrics, **found}, extra(state))
      if due:
        last_saved = keep(step, state)
  return state


class _Late:
  """Writes the metrics of a step after the next step was dispatched.

  Reading a metric waits for its step. If we read it at once, the device would
  be idle until the next step is dispatched.
  """

  def __init__(
    self,
    row: Callable[[dict[str, Any]], None],
    show: Callable[[dict[str, Any]], None],
  ):
    self._row, self._show, self._kept = row, show, None

  def put(self, step: int, metrics: Any, extra: Any) -> None:
    self._kept = step, metrics, extra

  def write(self) -> None:
    if self._kept is None:
      return
    step, metrics, extra = self._kept
    self._kept = None
    metrics = to_host(metrics)
    self._show(metrics)
    self._row({'step': step, **metrics, **to_host(extra)})


def versions() -> dict[str, str]:
  """Versions that the numbers of a run depend on."""
  names = ('nasjax', 'jax', 'jaxlib', 'flax', 'optax', 'numpy')
  found = {'python': platform.python_version()}
  for name in names:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
      found[name] = importlib.metadata.version(name)
  return found


def to_host(tree: Any) -> Any:
  """Arrays as Python floats and lists; the host waits for them."""
  return jax.tree.map(lambda x: np.asarray(x).tolist(), tree)
