"""The constrained loss of the alphas, whatever the task's loss comes from."""

import jax
import jax.numpy as jnp

from nasjax import cost as cost_lib
from nasjax import guard
from nasjax.search.state import Metrics, Setting, State
from nasjax.space import Alphas


def with_limits(
  setting: Setting, state: State, total: jax.Array, distribution: Alphas
) -> tuple[jax.Array, tuple, Metrics]:
  """Adds what constraints and the entropy guard add to a loss.

  Args:
    setting: of the search.
    state: of which the states of the constraints and the step are read.
    total: `f32[]`, the task's loss.
    distribution: the probs that costs take.

  Returns:
    The constrained loss, the constraints' new states, and metrics.
  """
  total, kept, metrics = _constrained(
    setting, total, distribution, state.constraints
  )
  if setting.guards.entropy is not None:
    weight = setting.guards.entropy(state.step)
    total = total + weight * guard.total_entropy(distribution)
    metrics['entropy_weight'] = jnp.asarray(weight)
  return total, kept, {**metrics, 'total_loss': total}


def _constrained(setting, loss, distribution, before):
  """The constrained loss, the constraints' states, and metrics of the costs."""
  hard = harden(distribution)
  expected = [cost(distribution) for cost in setting.costs]
  strict = [cost(hard) for cost in setting.costs]
  number = len(before)  # The other costs are kept by the projection.
  steered = [
    e if cost.reduction == 'sum' else cost_lib.steered(cost, distribution, s)
    for cost, e, s in zip(
      setting.costs[:number], expected, strict, strict=False
    )
  ]
  loss, kept = setting.constraint.update(
    loss, tuple(steered), tuple(strict[:number]), before
  )
  metrics = {}
  for cost, e, s in zip(setting.costs, expected, strict, strict=True):
    metrics |= {cost.name: e, f'{cost.name}_strict': s}
  for cost, k in zip(setting.costs, kept, strict=False):
    if hasattr(k, 'multiplier'):
      metrics[f'{cost.name}_multiplier'] = k.multiplier
  return loss, kept, metrics


def harden(probs: Alphas) -> Alphas:
  """One-hot probs at the most probable option of every choice.

  Args:
    probs: name to `f32[*shape, options]`, such as a distribution.

  Returns:
    Name to `f32[*shape, options]`, without a gradient. A cost of them is the
    strict cost of a constraint.

  Example:
    >>> harden({'slot': jnp.array([0.25, 0.75])})['slot'].tolist()
    [0.0, 1.0]
  """
  return {
    name: jax.nn.one_hot(p.argmax(-1), p.shape[-1], dtype=p.dtype)
    for name, p in probs.items()
  }
