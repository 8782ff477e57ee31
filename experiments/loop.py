"""The loop around a step: progress, metrics, checkpoints, resuming.

A workdir holds

    config.json      the flags of the run, written before it starts
    lock             says which process works there
    metrics.jsonl    one line per logged step
    checkpoints/     the whole state, by Orbax; `checkpoints_damaged/` has those
                     that could not be read
    diverged.json    why the run ended, if it diverged

A run that is started again goes on from its newest whole checkpoint. Lines of
metrics past it are cut, so that every line is there once.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from experiments import (
  checkpoints,
  divergence,
  hardware,
  interrupts,
  lock,
  metrics_file,
  processes,
  progress,
)
from nasjax import files
from nasjax.errors import InputError


@contextlib.contextmanager
def claimed(
  workdir: str | pathlib.Path, config: dict[str, Any]
) -> Iterator[pathlib.Path]:
  """While this process alone works in a workdir; see `claim`.

  Raises:
    InputError: as `claim`, or another process works there.
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
  """Makes a workdir this run's own, or finds that it already is.

  A workdir in which no step was taken accepts another config: whoever mistyped
  a flag types the command again.

  Args:
    workdir: made if it does not exist.
    config: all flags that decide what the run computes; the versions of what
      computes it are added.

  Returns:
    The workdir as a path.

  Raises:
    InputError: the workdir holds a run with another config, or files that no
      run of these scripts wrote. Nothing is changed then.
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
    # Whatever came of it: the others find the same.
    if processes.first():
      processes.wait('claim')


def _complete(config: dict[str, Any]) -> dict[str, Any]:
  return json.loads(json.dumps({**config, 'versions': versions()}))


def _claim(workdir: pathlib.Path, config: dict[str, Any]) -> None:
  if not _decide(workdir, config):
    return
  with files.writing(workdir):
    workdir.mkdir(parents=True, exist_ok=True)
    # Of a network that was never trained.
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
    # Of a sweep: each holds a workdir of its own.
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
      '--workdir'
    )
  flags = [{**c, 'versions': None} for c in (found, config)]
  if differ := _differences(*flags):
    raise InputError(
      f'workdir {workdir} holds a run with other flags: {differ}. Give the '
      'same flags or another --workdir'
    )
  if differ := _differences(*(_versions_in(c) for c in (found, config))):
    raise InputError(
      f'workdir {workdir} holds a run made by other versions: {differ}. '
      'Install those or give another --workdir'
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
  """A short hash of static structures and plain values, by their content."""
  return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def read_json(path: pathlib.Path) -> Any:
  """Reads JSON; an InputError says what is wrong with the file."""
  try:
    return json.loads(files.read_text(path))
  except OSError as e:
    raise InputError(f'{path}: {e.strerror}') from e
  except (ValueError, RecursionError) as e:
    raise InputError(f'{path} is truncated or no JSON: {e}') from e


def run(
  workdir: pathlib.Path,
  state: Any,
  advance: Callable[[Any, int], tuple[Any, dict[str, Any]]],
  *,
  steps: int,
  log_every: int,
  checkpoint_every: int,
  describe: Callable[[dict[str, Any]], str],
  name: str,
  identity: str,
  watch: divergence.Watch | None = None,
  watched: Callable[[Any], Any] = lambda state: (),
  extra: Callable[[Any], dict[str, Any]] = lambda state: {},
  stopped: Callable[[Any], bool] = lambda state: False,
  checked: Callable[[Any, int], dict[str, Any]] = lambda state, step: {},
  bar: progress.Progress | None = None,
  feed: Any = None,
) -> Any:
  """Takes `state` from the last checkpoint, or from its start, to `steps`.

  Args:
    workdir: claimed.
    state: at step 0; says the structure, too. A pytree of arrays with `step`.
    advance: `(state, step) -> (state, metrics)`, jitted by the caller.
    steps: where to stop.
    log_every: steps between lines of metrics; the last step is logged, too.
    checkpoint_every: steps between checkpoints; the last step has one, too.
    describe: metrics to the text behind the progress bar.
    name: the text before it.
    identity: of the run; a checkpoint of another one is refused.
    watch: ends the run where its losses are no longer finite; None does not
      look.
    watched: what of a state has to be finite for a checkpoint.
    extra: what of the state is logged besides metrics.
    stopped: whether the run ends at this state, before `steps`.
    checked: looks at what is about to be kept as a checkpoint, `(state, step)`;
      what it returns is logged.
    bar: progress that several runs share; None shows this run alone.
    feed: what `advance` draws batches from, with `get_state` and `set_state`;
      where it stands is kept with the state. None where nothing is drawn.

  Returns:
    The state at `steps`, or where it stopped.

  Raises:
    DivergedError: `watch` says so; the checkpoints of before are kept.
    interrupts.Stopped: a signal asked for it; there is a checkpoint of the
      last step that was taken.
  """
  watch = watch or divergence.Watch(lambda bad: f'{name} diverged')
  with contextlib.ExitStack() as stack:
    kept = stack.enter_context(
      checkpoints.open(workdir / 'checkpoints', identity, feed)
    )
    state = kept.restore(state)
    start = last_saved = int(state.step)
    if processes.first():
      logged = start // log_every * log_every
      metrics_file.cut(workdir, start, logged)
    watch.saved(start)
    # Several processes stop at once: to save, they would have to agree on a
    # step first.
    alone = jax.process_count() == 1
    saved = lambda step: None  # noqa: E731
    if alone:
      saved = stack.enter_context(interrupts.running(str(workdir), start))
    shown = bar or stack.enter_context(progress.Progress(name, steps))
    # What an earlier process did does not count as this one's speed.
    shown.skip(start)
    write = lambda row: None  # noqa: E731
    if processes.first():
      write = stack.enter_context(
        metrics_file.append(workdir / metrics_file.NAME)
      )
    late = _Late(write, lambda metrics: shown.say(describe(metrics)))

    def examine(step: int, state: Any) -> None:
      watch.look(wait=True)
      watch.check_state(step, watched(state))

    def keep(step: int, state: Any) -> int:
      # Every line up to a checkpoint is there before it.
      late.write()
      kept.save(step, state)
      saved(step)
      watch.saved(step)
      return step

    for step in range(start + 1, steps + 1):
      if stopped(state):
        break
      try:
        interrupts.check()
        state, metrics = advance(state, step)
      except interrupts.Stopped:
        if alone and last_saved < step - 1:
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
  """Writes what a step measured once the device has the next step to do.

  To read a metric is to wait for the step that computes it. Read at once, it
  would leave the device without work until the next step was called.
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
  """Arrays to Python floats and lists, for which the host has to wait."""
  return jax.tree.map(lambda x: np.asarray(x).tolist(), tree)
