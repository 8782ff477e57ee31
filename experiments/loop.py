"""The loop around a step: progress, metrics, checkpoints, resuming.

A workdir holds

    config.json      the flags of the run, written before it starts
    metrics.jsonl    one line per logged step
    checkpoints/     the whole state, by Orbax

A run that is started again goes on from its last checkpoint; metrics written
past it are cut back, so that every line is there once.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
from collections.abc import Callable, Iterator
from typing import Any, TextIO

import jax
import numpy as np
import tqdm

from experiments import processes
from nasjax.errors import InputError


def claim(workdir: str | pathlib.Path, config: dict[str, Any]) -> pathlib.Path:
  """Makes a workdir this run's own, or finds that it already is.

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
    return _claim(workdir, {**config, 'versions': versions()})
  except OSError as e:
    raise InputError(f'workdir {workdir}: {e.strerror}') from e
  finally:
    # Whatever came of it: the others find the same.
    if processes.first():
      processes.wait('claim')


def _claim(workdir: pathlib.Path, config: dict[str, Any]) -> pathlib.Path:
  path = workdir / 'config.json'
  config = json.loads(json.dumps(config))
  if path.exists():
    found = read_json(path)
    if not isinstance(found, dict):
      raise InputError(f'{path} is not what a run writes: no JSON object')
    _check_same(workdir, found, config)
    return workdir
  if workdir.exists() and not workdir.is_dir():
    raise InputError(f'workdir {workdir} is a file; give a directory')
  # A kill while the config was written leaves its unfinished part alone.
  left = {'config.json.part'}
  if workdir.exists() and any(p.name not in left for p in workdir.iterdir()):
    raise InputError(
      f'workdir {workdir} holds files but no run; give an empty one'
    )
  workdir.mkdir(parents=True, exist_ok=True)
  write_json(path, config)
  return workdir


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


def write_json(path: pathlib.Path, document: Any) -> None:
  """Writes JSON whole or not at all."""
  part = path.with_name(path.name + '.part')
  part.write_text(json.dumps(document, indent=1) + '\n')
  part.replace(path)


def read_json(path: pathlib.Path) -> Any:
  """Reads JSON; an InputError says what is wrong with the file."""
  try:
    return json.loads(path.read_text())
  except OSError as e:
    raise InputError(f'{path}: {e.strerror}') from e
  except ValueError as e:
    raise InputError(f'{path} is truncated or no JSON: {e}') from e


def read_metrics(workdir: pathlib.Path) -> list[dict[str, Any]]:
  """The lines of `metrics.jsonl`, in order; [] where there is none."""
  path = workdir / 'metrics.jsonl'
  if not path.exists():
    return []
  return [json.loads(line) for line in path.read_text().splitlines()]


def cut_metrics(workdir: pathlib.Path, step: int) -> None:
  """Drops lines past `step`, and a last line that a kill left unfinished."""
  path = workdir / 'metrics.jsonl'
  if not path.exists():
    return
  kept = []
  for line in path.read_text().splitlines():
    try:
      if json.loads(line)['step'] <= step:
        kept.append(line + '\n')
    except ValueError:
      break
  part = path.with_name(path.name + '.part')
  part.write_text(''.join(kept))
  part.replace(path)


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
  extra: Callable[[Any], dict[str, Any]] = lambda state: {},
  stopped: Callable[[Any], bool] = lambda state: False,
  checked: Callable[[Any, int], dict[str, Any]] = lambda state, step: {},
  bar: tqdm.tqdm | None = None,
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
    extra: what of the state is logged besides metrics.
    stopped: whether the run ends at this state, before `steps`.
    checked: looks at what is about to be kept as a checkpoint, `(state, step)`;
      what it returns is logged.
    bar: a progress bar that several runs share; None draws one for this run.
    feed: what `advance` draws batches from, with `get_state` and `set_state`;
      where it stands is kept with the state. None where nothing is drawn.

  Returns:
    The state at `steps`, or where it stopped.
  """
  with _checkpoints(workdir / 'checkpoints', feed) as (restore, save):
    state = restore(state)
    start = int(state.step)
    if processes.first():
      cut_metrics(workdir, start)
    shown = progress_bar(name, steps) if bar is None else bar
    # What an earlier process did does not count as this one's speed.
    shown.initial += start
    shown.update(start)
    kept = workdir / 'metrics.jsonl' if processes.first() else os.devnull
    with open(kept, 'a') as file:
      late = _Late(
        file, lambda metrics: shown.set_postfix_str(describe(metrics))
      )
      for step in range(start + 1, steps + 1):
        if stopped(state):
          break
        state, metrics = advance(state, step)
        late.write()
        shown.update()
        last = step == steps or stopped(state)
        due = step % checkpoint_every == 0 or last
        found = checked(state, step) if due else {}
        if step % log_every == 0 or last or found:
          late.put(step, {**metrics, **found}, extra(state))
        if due:
          # Every line up to a checkpoint is there before it.
          late.write()
          save(step, state)
    if bar is None:
      shown.close()
  return state


class _Late:
  """Writes what a step measured once the device has the next step to do.

  To read a metric is to wait for the step that computes it. Read at once, it
  would leave the device without work until the next step was called.
  """

  def __init__(self, file: TextIO, show: Callable[[dict[str, Any]], None]):
    self._file, self._show, self._kept = file, show, None

  def put(self, step: int, metrics: Any, extra: Any) -> None:
    self._kept = step, metrics, extra

  def write(self) -> None:
    if self._kept is None:
      return
    step, metrics, extra = self._kept
    self._kept = None
    metrics = to_host(metrics)
    self._show(metrics)
    row = {'step': step, **metrics, **to_host(extra)}
    self._file.write(json.dumps(row) + '\n')
    self._file.flush()


def progress_bar(name: str, steps: int) -> tqdm.tqdm:
  """A bar with steps done, time past and left, and what `describe` says."""
  return tqdm.tqdm(
    total=steps,
    desc=name,
    unit='step',
    dynamic_ncols=True,
    bar_format='{desc} {percentage:3.0f}% |{bar:16}| {n_fmt}/{total_fmt} '
    '[{elapsed}<{remaining}]{postfix}',
  )


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


@contextlib.contextmanager
def _checkpoints(
  path: pathlib.Path, feed: Any
) -> Iterator[tuple[Callable, Callable]]:
  """Functions that restore and save a state, and a feed's, with Orbax."""
  import orbax.checkpoint as ocp  # Takes a second: not for who only counts.

  options = ocp.CheckpointManagerOptions(
    max_to_keep=2, enable_async_checkpointing=False
  )
  with ocp.CheckpointManager(path.absolute(), options=options) as manager:

    def restore(state):
      step = manager.latest_step()
      if step is None:
        return state
      target = jax.tree.map(ocp.utils.to_shape_dtype_struct, state)
      args = ocp.args.StandardRestore(target)
      if feed is not None:
        args = ocp.args.Composite(state=args, feed=ocp.args.JsonRestore())
      try:
        found = manager.restore(step, args=args)
      except (OSError, ValueError, KeyError) as e:
        line = ' '.join(str(e).split())[:200]
        raise InputError(
          f'{path / str(step)} is damaged or of another run: {line}; give '
          'another --workdir'
        ) from e
      if feed is None:
        return found
      feed.set_state(found['feed'])
      return found['state']

    def save(step, state):
      if manager.latest_step() == step:
        return
      args = ocp.args.StandardSave(state)
      if feed is not None:
        where = ocp.args.JsonSave(feed.get_state())
        args = ocp.args.Composite(state=args, feed=where)
      manager.save(step, args=args)

    yield restore, save
