"""From alphas to an architecture, within limits.

The most probable architecture maximises the sum of its ops' log-probabilities,
one op per slot. With limits on additive costs that is a multiple-choice
knapsack (Kellerer, Pferschy and Pisinger 2004, chapter 11), solved here by
branch and bound in SciPy's HiGHS and verified in Python ints.
"""

from collections.abc import Mapping

import jax
import numpy as np
from scipy import optimize, sparse

from nasjax.cost import Cost
from nasjax.errors import InputError
from nasjax.space import Architecture, Space


def log_prob(architecture: Architecture, alphas: Mapping) -> float:
  """Log-probability of an architecture under `softmax(alphas)`, float64."""
  slots = zip(architecture.space.choices, architecture.indices, strict=True)
  return float(sum(_log_softmax(alphas[slot])[i] for slot, i in slots))


def within(
  space: Space,
  alphas: Mapping[str, jax.Array],
  limits: Mapping[Cost, int],
) -> Architecture:
  """The most probable architecture that keeps every limit.

  It does not depend on the temperature: dividing alphas by one does not change
  which architecture is the most probable.

  Args:
    space: what is chosen from.
    alphas: slot to `f32[ops]`, finite.
    limits: the largest cost allowed, for any number of costs of `space`.

  Returns:
    An architecture; `cost.exact` of it is at most the limit, for every cost.

  Raises:
    InputError: no architecture keeps the limits; the message names the
      smallest cost that can be reached.
    ValueError: alphas are not finite.

  Example:
    >>> from nasjax import cost, space, spaces
    >>> tiny = spaces.tiny()
    >>> macs = cost.macs(tiny)
    >>> low, _ = macs.bounds()
    >>> a = within(tiny, space.init_alphas(tiny), {macs: low})
    >>> macs.exact(a) == low
    True
  """
  scores = [_log_softmax(alphas[slot]) for slot in space.choices]
  check_reachable(limits)
  if not scores:
    return Architecture(space, ())
  found = _solve(space, scores, limits)
  if found is None:
    reachable = '; '.join(_smallest_given(space, limits, c) for c in limits)
    raise InputError(f'no architecture keeps all limits together: {reachable}')
  return found


def check_reachable(limits: Mapping[Cost, int]) -> None:
  """Raises InputError where a limit is below what its cost can reach."""
  for cost, limit in limits.items():
    low, high = cost.bounds()
    if limit < low:
      raise InputError(
        f'no architecture has {cost.name} <= {limit:.15g}; this space reaches '
        f'{low} to {high} {cost.unit}'
      )


def _log_softmax(alphas) -> np.ndarray:
  a = np.asarray(alphas, np.float64)
  if not np.isfinite(a).all():
    raise ValueError(f'deriving requires finite alphas, got {a}.')
  a = a - a.max()
  return a - np.log(np.exp(a).sum())


def _solve(space, scores, limits) -> Architecture | None:
  """Maximises the summed scores; None where nothing keeps the limits."""
  sizes = [len(s) for s in scores]
  slot_of = np.repeat(np.arange(len(sizes)), sizes)
  one_per_slot = sparse.csr_array(
    (np.ones(len(slot_of)), (slot_of, np.arange(len(slot_of)))),
    shape=(len(sizes), len(slot_of)),
  )
  constraints = [optimize.LinearConstraint(one_per_slot, 1, 1)]
  for cost, limit in limits.items():
    # Scaled, so that the solver's tolerance is relative to the slack.
    table = np.concatenate([np.asarray(t, float) for _, t in cost.tables])
    slack = limit - cost.constant
    scale = max(1.0, abs(slack))
    constraints.append(
      optimize.LinearConstraint(table / scale, -np.inf, slack / scale)
    )
  while True:
    result = optimize.milp(
      -np.concatenate(scores),
      constraints=constraints,
      integrality=np.ones(len(slot_of)),
      bounds=optimize.Bounds(0, 1),
      options={'mip_rel_gap': 0},
    )
    if result.status == 2:  # infeasible
      return None
    if result.x is None:
      raise RuntimeError(f'the solver gave up: {result.message}')
    parts = np.split(result.x, np.cumsum(sizes)[:-1])
    found = Architecture.from_indices(space, [p.argmax() for p in parts])
    if all(cost.exact(found) <= limit for cost, limit in limits.items()):
      return found
    # Over by less than the solver's tolerance: forbid this one, and go on.
    chosen = np.concatenate([np.arange(len(p)) == p.argmax() for p in parts])
    constraints.append(
      optimize.LinearConstraint(chosen.astype(float), 0, len(sizes) - 1)
    )


def _smallest_given(space, limits, cost) -> str:
  """What `cost` can be brought down to while the other limits are kept."""
  others = {c: limit for c, limit in limits.items() if c is not cost}
  scores = [-np.asarray(t, float) / cost.bounds()[1] for _, t in cost.tables]
  found = _solve(space, scores, others)
  if found is None:
    return f'the limits without that of {cost.name} cannot be kept either'
  return (
    f'{cost.name} is at least {cost.exact(found)} {cost.unit} within the '
    f'other limits, and the limit is {limits[cost]:.15g}'
  )
