"""The steps of one search in its workdir."""

import functools
import pathlib
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from experiments import compilation, constraints, devices, guards, loop, outcome
from nasjax import batch, data, guard, relax, search
from nasjax.errors import InputError
from nasjax.space import Space


class Inputs(NamedTuple):
  """What the flags of a search name.

  Attributes:
    space: what is chosen from, at the data set's sizes.
    train: the half of the training images that weights learn from.
    valid: the half that alphas learn from.
    batches: how a batch of either is made.
    relaxation: alphas to probabilities.
    temperature: of the relaxation, by the step.
    kept: what keeps the limits, and the limits.
    data_content: hash of the images, which may change under the same name.
    guarded: what keeps the search from collapsing.
    supernet: one of `supernets.KINDS`.
  """

  space: Space
  train: data.Arrays
  valid: data.Arrays
  batches: batch.Batches
  relaxation: relax.Relaxed
  temperature: optax.Schedule
  kept: constraints.Kept
  data_content: str
  guarded: guards.Guarded
  supernet: str


class Run(NamedTuple):
  """What a checkpoint holds.

  Attributes:
    search: where the search is.
    stop: what the rules that may stop it have seen.
  """

  search: search.State
  stop: Any

  @property
  def step(self) -> jax.Array:
    return self.search.step


def run(
  config: Mapping[str, Any],
  inputs: Inputs,
  parts: search.Search,
  workdir: pathlib.Path,
) -> tuple[search.State, dict[str, Any] | None]:
  """Takes all steps, or those that an earlier process left.

  Args:
    config: a value for every option of the script.
    inputs: what it names.
    parts: the search's pure functions.
    workdir: claimed.

  Returns:
    The state to derive from, and what is said of where and why a rule stopped
    the search; None where it went to its end.

  Raises:
    InputError: the search diverged.
  """
  state, verdict = _take_steps(config, inputs, parts, workdir)
  stopped = None
  if verdict is not None:
    stopped = {'step': int(state.step), 'reason': verdict.reason}
    state = _returned(state, verdict)
    stopped['returned_to'] = int(state.step)
  if not all(np.isfinite(a).all() for a in loop.to_host(state.alphas).values()):
    raise InputError(
      'the search diverged: its alphas are not finite; lower --learning_rate '
      f'({config["learning_rate"]}) and give another --workdir'
    )
  return state, stopped


def _take_steps(config, inputs, parts, workdir):
  """The last state, and why it is the last if a rule stopped the search."""
  sharding = inputs.batches.sharding
  arrays = devices.everywhere((inputs.train, inputs.valid), sharding)
  key = jax.random.key(config['seed'])
  state = compilation.initial(parts.init, key, *arrays)
  state = devices.everywhere(state, sharding)
  law, temperature = inputs.relaxation.law, inputs.temperature
  # Through the warm-up alphas, and with them the costs, stay these.
  probs = law(state.alphas, temperature(state.step))
  hard = search.harden(probs)
  start = {c.name: float(c(probs)) for c in inputs.kept.limits}
  start |= {f'{c.name}_strict': float(c(hard)) for c in inputs.kept.limits}
  rule = inputs.guarded.rule

  def extra(run):
    probs = law(run.search.alphas, temperature(run.step))
    return {'probs': probs, 'entropy': guard.entropy(probs)}

  # One after the other: each takes gigabytes, and the first is waited for.
  with ThreadPoolExecutor(max_workers=1) as pool:
    run = loop.run(
      workdir,
      Run(state, rule.init(state.alphas)),
      stepper(config, inputs.guarded, parts, start, pool, state, *arrays),
      steps=config['steps'],
      log_every=config['log_every'],
      checkpoint_every=config['checkpoint_every'],
      describe=functools.partial(outcome.describe, inputs.kept.limits),
      name='search',
      extra=extra,
      stopped=lambda run: rule.verdict(run.stop) is not None,
    )
  return run.search, rule.verdict(run.stop)


def stepper(
  config: Mapping[str, Any],
  guarded: guards.Guarded,
  parts: search.Search,
  start: dict[str, float],
  pool: Executor,
  state: search.State,
  train: data.Arrays,
  valid: data.Arrays,
) -> Callable[[Run, int], tuple[Run, dict[str, Any]]]:
  """`(run, step) -> (run, metrics)`: a step, measured and looked at.

  What it calls is compiled in `pool`: the alphas' program is ready when the
  warm-up, which does without it, has run. `start` are the costs until then.
  """
  compiled = functools.partial(pool.submit, compilation.compiled)
  weight_step = compiled('weight step', parts.weight_step, state, train)
  alpha_step = compiled('alpha step', parts.alpha_step, state, train, valid)
  if guarded.every is not None:
    eigenvalue = compiled(
      'eigenvalue', parts.eigenvalue, state, valid, donate=False
    )

  def advance(run, step):
    state, metrics = weight_step.result()(run.search, train)
    if step <= config['warmup_steps']:
      return Run(state, run.stop), {**start, **metrics}
    state, more = alpha_step.result()(state, train, valid)
    metrics |= more
    if guarded.measures(step):
      metrics['eigenvalue'] = eigenvalue.result()(state, valid)
    stop = guarded.rule.update(step, metrics, state.alphas, run.stop)
    return Run(state, stop), metrics

  return advance


def _returned(state: search.State, verdict: guard.Verdict) -> search.State:
  """With the alphas to derive from, and the step that they are of."""
  if verdict.alphas is None:
    return state
  # The step is that of the law's temperature, too.
  return state._replace(alphas=verdict.alphas, step=np.int32(verdict.step))
