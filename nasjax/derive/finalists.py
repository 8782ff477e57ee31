"""A few architectures within limits, to choose among by training them."""

import contextlib
import time
from collections.abc import Mapping

import numpy as np

from nasjax.derive.limits import check_fill, uses
from nasjax.derive.problem import (
  Alphas,
  Axis,
  Limits,
  Problem,
  check_costs,
  drawn,
  log_softmax,
  scores_of,
)
from nasjax.derive.solve import (
  SECONDS,
  check_seconds,
  log_prob,
  solved,
  within,
)
from nasjax.errors import InputError
from nasjax.space import Architecture, SearchSpace

_TRIES = 50  # For each architecture that is asked for.


def leaders(
  space: SearchSpace,
  alphas: Alphas,
  limits: Limits,
  *,
  fill: float = 0.0,
  seconds: float = SECONDS,
) -> list[Architecture]:
  """The most probable architecture of each option of the drawn choice.

  The options of a drawn choice cannot be mixed (`Choice.drawn`), such as
  downsampling patterns. A search estimates their probabilities from noisy
  losses, so it is worth comparing the best architecture of each by training.

  Args:
    space: the search space.
    alphas: name of a choice to `f32[*shape, options]`, finite.
    limits: cost of the space to the largest value allowed, in the cost's unit.
    fill: minimum fraction of at least one limit that each should use, 0 to 1.
    seconds: time limit of the solver for each option; an option without a
      solution in time is left out.

  Returns:
    One architecture for each option that satisfies the limits, the most
    probable first. If any of them uses `fill`, those that do not are left out.
    The first one is that of `within`; without a drawn choice it is the only
    one. With several drawn choices, only the first choice counts.

  Raises:
    InputError: no architecture satisfies the limits, or none was found in time.
    ValueError: a number is out of its range, alphas are not finite or not of
      the space, or a cost is of another space.

  Example:
    >>> from nasjax import cost, space, spaces
    >>> macro = spaces.tiny_macro()
    >>> macs = cost.macs(macro)
    >>> limits = {macs: macs.bounds()[1]}
    >>> [a.choice[0] for a in leaders(macro, space.init_alphas(macro), limits)]
    ['late', 'early']
  """
  best = within(space, alphas, limits, fill=fill, seconds=seconds)
  split = drawn(space.choices)
  if split is None:
    return [best]
  problem = Problem(scores_of(space, alphas), limits)
  found = []
  for i in range(len(split.options)):
    with contextlib.suppress(InputError):  # No architecture fits the limits.
      found.append(_of_option(space, problem, {split.axis: i}, fill, seconds))
  if uses(best, limits, fill):
    found = [a for a in found if uses(a, limits, fill)]
  # Among equally probable ones, that of `within` comes first.
  return sorted(found, key=lambda a: (a != best, -log_prob(a, alphas)))


def finalists(
  leader: Architecture,
  alphas: Alphas,
  limits: Limits,
  number: int,
  rng: np.random.Generator,
  *,
  fill: float = 0.0,
  seconds: float = SECONDS,
) -> list[Architecture]:
  """Architectures near a leader, with its option of the drawn choice.

  Each is the most probable architecture after Gumbel noise is added to every
  alpha (Papandreou and Yuille 2011, Perturb-and-MAP). Without a binding limit
  this samples from the probabilities. The flatter the probabilities, the more
  the architectures differ.

  Args:
    leader: one of `leaders`.
    alphas: name of a choice to `f32[*shape, options]`, finite.
    limits: cost of the space to the largest value allowed, in the cost's unit.
    number: how many; fewer are returned if no others are found.
    rng: NumPy's generator; its state advances.
    fill: minimum fraction of at least one limit that each should use, 0 to 1.
    seconds: time limit of the solver for each try; all tries together take at
      most `number` times as long. If time runs out, fewer are returned, which
      may depend on the machine.

  Returns:
    Different architectures without the leader.

  Raises:
    InputError: no architecture satisfies the limits, or none was found in time.
    ValueError: a number is out of its range, alphas are not finite or not of
      the space, or a cost is of another space.

  Example:
    >>> from nasjax import cost, space, spaces
    >>> macro = spaces.tiny_macro()
    >>> macs = cost.macs(macro)
    >>> limits, alphas = {macs: macs.bounds()[1]}, space.init_alphas(macro)
    >>> leader, _ = leaders(macro, alphas, limits)
    >>> rng = np.random.default_rng(0)
    >>> found = finalists(leader, alphas, limits, 3, rng)
    >>> {a.choice[0] for a in found} == {leader.choice[0]}, leader in found
    (True, False)
  """
  space = leader.space
  scores = scores_of(space, alphas)
  check_fill(fill)
  check_costs(space, limits)
  split = drawn(space.choices)
  fixed = {} if split is None else {split.axis: leader.index[split.axis]}
  found: list[Architecture] = []
  kept = all(c.exact(leader) <= limit for c, limit in limits.items())
  end = time.monotonic() + seconds * number
  for _ in range(_TRIES * number):
    left = min(seconds, end - time.monotonic())
    if len(found) == number or left < 0:
      break
    moved = {k: s + rng.gumbel(size=s.shape) for k, s in scores.items()}
    try:
      problem = Problem(moved, limits)
      a = _of_option(space, problem, fixed, fill, left)
    except InputError:
      if kept:  # The leader fits the limits, so the solver ran out of time.
        continue
      raise
    if a not in (leader, *found):
      found.append(a)
  return found


def _of_option(
  space: SearchSpace,
  problem: Problem,
  fixed: Mapping[Axis, int],
  fill: float,
  seconds: float,
) -> Architecture:
  """The most probable architecture with the fixed options.

  Raises:
    InputError: there is none, or none was found in time.
  """
  check_seconds(seconds)
  part = problem
  for axis, option in fixed.items():
    part = part.given(axis, option)
  scores = {name: log_softmax(score) for name, score in part.scores.items()}
  part = part._replace(scores=scores)
  index = solved(part, None, fill, seconds).index
  whole = {**index, **fixed}
  indices = [whole[name] for name in problem.scores]
  return Architecture.from_indices(space, indices)
