"""The steps of one search: compiled, taken, measured and kept."""

import contextlib
import functools
import pathlib
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from nasjax import data, guard, search
from nasjax.data import stream_batches
from nasjax.run import (
  compilation,
  diverged_search,
  divergence,
  feeds,
  guards,
  interrupts,
  loop,
  outcome,
  progress,
)
from nasjax.run import record as record_lib
from nasjax.run.inputs import Inputs
from nasjax.run.workdir import diverged_file

# Fields of a state that have to be finite; limits may be infinite.
_FINITE = 'params', 'batch_stats', 'opt_state', 'alphas', 'alpha_opt_state'


class Run(NamedTuple):
  """The state of a search with its stopping rules, as checkpoints hold it.

  Attributes:
    search: state of the search.
    stop: state of the stopping rules.
  """

  search: search.State
  stop: Any

  @property
  def step(self) -> jax.Array:
    return self.search.step


class Programs(NamedTuple):
  """Functions of `search.Search` that are compiled in threads.

  Attributes:
    weight_step: future of the compiled weight step.
    alpha_step: future of the compiled alpha step.
    eigenvalue: future of the compiled eigenvalue; None where it is not
      measured.
  """

  weight_step: Future
  alpha_step: Future
  eigenvalue: Future | None


class Compiled(NamedTuple):
  """All compiled functions of a search.

  Searches that differ only in seed, limits or strength share them, since these
  are data in the state.

  Attributes:
    programs: the compiled steps.
    start: `key -> state`, with the limits and strengths of the search.
    costs_of: `(alphas, step)` to the costs under limits.
    described: `(alphas, step)` to further values that are logged.
  """

  programs: Programs
  start: Callable[..., search.State]
  costs_of: Callable[..., dict[str, jax.Array]]
  described: Callable[..., dict[str, Any]]


def run(
  inputs: Inputs,
  parts: search.Search,
  workdir: pathlib.Path | None,
  rows: list[dict[str, Any]],
  compiled: Callable[..., Compiled] | None = None,
) -> tuple[search.State, dict[str, Any] | None]:
  """Takes the steps of a search, from its newest checkpoint on.

  Args:
    inputs: inputs of the search.
    parts: the search's pure functions.
    workdir: claimed; None writes nothing.
    rows: without a workdir, lines of metrics are added here.
    compiled: like `compile_for`, for searches that share programs; its `start`
      has the limits of this search. None is `compile_for`.

  Returns:
    `(state, stopped)`: the state to derive from, and the step and reason if a
    rule stopped the search; None if it took all steps.

  Raises:
    DivergedError: the search diverged, now or in an earlier process.
  """
  told = contextlib.nullcontext()
  if workdir is not None:
    diverged_file.check(workdir)
    told = diverged_file.written(workdir)
  with told:
    state, verdict = _take_steps(
      inputs, parts, workdir, rows, compiled or compile_for
    )
  stopped = None
  if verdict is not None:
    stopped = {'step': int(state.step), 'reason': verdict.reason}
    state = _returned(state, verdict)
    stopped['returned_to'] = int(state.step)
  return state, stopped


def _take_steps(inputs, parts, workdir, rows, compiled):
  """The last state, and the verdict if a rule stopped the search."""
  config = inputs.config
  message = functools.partial(diverged_search.message, config)
  train, valid = fed(inputs)
  key, rule = jax.random.key(config.seed), inputs.guarded.rule
  store = loop.in_memory(rows)
  if workdir is not None:
    feed = feeds.position(train=train, valid=valid)
    store = loop.in_workdir(workdir, identity(inputs), config.log_every, feed)

  def begin():
    its = compiled(inputs, parts, key, train, valid)
    state = its.start(key)
    # During the warm-up the alphas do not change, and neither do the costs.
    costs = record_lib.to_host(its.costs_of(state.alphas, state.step))
    its.described(state.alphas, state.step)
    return its, state, costs

  with progress.Progress('search', config.taken.all) as bar:
    pool = ThreadPoolExecutor(max_workers=1)
    beginning = pool.submit(begin)
    pool.shutdown(wait=False)
    its, state, costs = interrupts.wait(beginning, bar.wait)
    advance = stepper(
      config.taken.warmup,
      inputs.guarded,
      its.programs,
      costs,
      train,
      valid,
      bar.wait,
      frozen=config.weight_rate == 0,
    )
    run = loop.run(
      store,
      Run(state, rule.init(state.alphas)),
      advance,
      steps=config.taken.all,
      log_every=config.log_every,
      checkpoint_every=config.checkpoint_every,
      describe=functools.partial(outcome.describe, inputs.limits),
      name='search',
      watch=divergence.Watch(message, config.skip_nonfinite),
      watched=lambda run: [getattr(run.search, n, ()) for n in _FINITE],
      extra=lambda run: its.described(run.search.alphas, run.step),
      stopped=lambda run: rule.verdict(run.stop) is not None,
      bar=bar,
    )
  return run.search, rule.verdict(run.stop)


def identity(inputs: Inputs) -> str:
  """A fingerprint of a search; checkpoints of another one are refused."""
  return record_lib.fingerprint(
    sorted(inputs.config.described().items()),
    sorted(inputs.limits.items(), key=lambda limit: limit[0].name),
    inputs.space,
    inputs.data_content,
    getattr(inputs.dataset, 'crop_area', None),
  )


def compile_for(
  inputs: Inputs,
  parts: search.Search,
  key: jax.Array,
  train: feeds.Feed,
  valid: feeds.Feed,
) -> Compiled:
  """Compiles a search, in threads; of key and feeds only shapes are used."""
  arrays = train.like, valid.like
  shapes, start = compilation.initial(
    lambda key: parts.init(key, *arrays), key, sharding=train.sharding
  )
  config = inputs.config
  distribution, temperature = config.relaxation.distribution, config.heat

  # In one piece: op by op, the first call of each would compile for seconds.
  @jax.jit
  def costs_of(alphas, step):
    probs = distribution(alphas, temperature(step))
    hard, limits = search.harden(probs), inputs.limits
    return {c.name: c(probs) for c in limits} | {
      f'{c.name}_strict': c(hard) for c in limits
    }

  @jax.jit
  def described(alphas, step):
    probs = distribution(alphas, temperature(step))
    return {'probs': probs, 'entropy': guard.entropy(probs)}

  # One after the other: each takes gigabytes, and the first is waited for.
  pool = ThreadPoolExecutor(max_workers=1)
  steps = programs(inputs.guarded, parts, pool, shapes, *arrays)
  pool.shutdown(wait=False)
  return Compiled(steps, start, costs_of, described)


def fed(inputs: Inputs) -> tuple[feeds.Feed, feeds.Feed]:
  """The feeds of the weight half and of the alpha half.

  Alpha steps use images without augmentation: streamed images keep their
  centre. Single networks are all judged on the same images, which are therefore
  read once.
  """
  batches, shape = inputs.batches, inputs.dataset.image_shape
  area = getattr(inputs.dataset, 'crop_area', None)
  judged, sampling = inputs.valid, inputs.config.sampling
  if sampling is not None and not isinstance(judged, data.Arrays):
    judged = stream_batches.spread(judged, sampling.images, shape[0])
  halves = (inputs.train, area), (judged, None)
  train, valid = (
    feeds.of(
      images,
      batches.size,
      shape,
      seed=inputs.config.seed + i,
      crop_area=area,
      sharding=batches.sharding,
    )
    for i, (images, area) in enumerate(halves)
  )
  return train, valid


def programs(
  guarded: guards.Guarded,
  parts: search.Search,
  pool: Executor,
  state: search.State,
  train: data.Arrays,
  valid: data.Arrays,
) -> Programs:
  """Compiles the steps in `pool`, in the order of first use.

  The alpha step compiles while the warm-up runs. Only the shapes of `state` are
  used.
  """
  compiled = functools.partial(pool.submit, compilation.compiled)
  weight_step = compiled('weight step', parts.weight_step, state, train)
  alpha_step = compiled('alpha step', parts.alpha_step, state, train, valid)
  eigenvalue = None
  if guarded.every is not None:
    eigenvalue = compiled(
      'eigenvalue', parts.eigenvalue, state, valid, donate=False
    )
  return Programs(weight_step, alpha_step, eigenvalue)


def stepper(
  warmup_steps: int,
  guarded: guards.Guarded,
  run_by: Programs,
  costs: dict[str, float],
  train: feeds.Feed,
  valid: feeds.Feed,
  tick: Callable[[], None] = lambda: None,
  frozen: bool = False,
) -> Callable[[Run, int], tuple[Run, dict[str, Any]]]:
  """Makes `(run, step) -> (run, metrics)`: here the steps alternate.

  A weight step comes first. After the warm-up, an alpha step follows, then the
  measurement of the eigenvalue, if it is due, and the stopping rule.

  Args:
    warmup_steps: steps without an alpha step.
    guarded: the stopping rule, and when to measure.
    run_by: the compiled programs.
    costs: costs of the first alphas, logged during the warm-up.
    train: batches of the weight half.
    valid: batches of the alpha half.
    tick: called while a program compiles.
    frozen: whether weights stay after the warm-up: alpha steps alone.
  """

  def advance(run, step):
    learns = step > warmup_steps
    # Wait for all programs before the first runs: a signal meanwhile leaves the
    # state unchanged.
    weight_step = interrupts.wait(run_by.weight_step, tick)
    alpha_step = interrupts.wait(run_by.alpha_step, tick) if learns else None
    measure = None
    if learns and guarded.measures(step) and run_by.eigenvalue is not None:
      measure = interrupts.wait(run_by.eigenvalue, tick)
    if learns and frozen:
      state, metrics = run.search, {}
      state = state._replace(step=state.step + 1)
    else:
      state, metrics = weight_step(run.search, train.next())
    if alpha_step is None:
      return Run(state, run.stop), {**costs, **metrics}
    images = train.peek(), valid.next()
    state, more = alpha_step(state, *images)
    metrics |= more
    if measure is not None:
      metrics['eigenvalue'] = measure(state, valid.peek())
    stop = guarded.rule.update(step, metrics, state.alphas, run.stop)
    return Run(state, stop), metrics

  return advance


def _returned(state: search.State, verdict: guard.Verdict) -> search.State:
  """With the alphas to derive from, and the step that they are of."""
  if verdict.alphas is None or verdict.step is None:
    return state
  # The step is that of the distribution's temperature, too.
  step = np.int32(verdict.step)
  return state._replace(alphas=verdict.alphas, step=step)  # pyrefly: ignore[bad-argument-type] # NumPy's serves
