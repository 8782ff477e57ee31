"""The loop around a step: progress, metrics, checkpoints, resuming.

A run that is started again resumes from its newest intact checkpoint. Later
lines of metrics are cut, so that every line is there once.
"""

import contextlib
import pathlib
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import jax

from nasjax.run import divergence, interrupts, progress
from nasjax.run.hosts import processes
from nasjax.run.record import to_host
from nasjax.run.workdir import checkpoints, metrics_file


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
) -> Generator[Store]:
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
    self._row, self._show = row, show
    self._kept: tuple[int, Any, Any] | None = None

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
