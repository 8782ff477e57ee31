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

  Its options cannot be mixed (`Choice.drawn`), such as ways to downsample. What
  a search knows of them are losses of drawn batches, and little: these are for
  whoever wants to compare them in another way.

  Args:
    space: the search space.
    alphas: name of a choice to `f32[*shape, options]`, finite.
    limits: cost of the space to the largest value allowed.
    fill: share of one limit that each should use, from 0 to 1.
    seconds: time limit of the solver, for each of them; an option of which it
      finds none in time is left out.

  Returns:
    The most probable first, one for each option of which any architecture keeps
    the limits, and uses `fill` of one where any option's does. The first is the
    one that `within` gives; without a drawn choice it is the only one. Of
    several drawn choices the first one counts.

  Raises:
    InputError: no architecture keeps the limits, or none was found in time.
    ValueError: a number out of its range, or costs of another space.

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
    with contextlib.suppress(InputError):  # None of it keeps the limits.
      found.append(_of_option(space, problem, {split.axis: i}, fill, seconds))
  if uses(best, limits, fill):
    found = [a for a in found if uses(a, limits, fill)]
  # Of equally probable ones the first is that of `within`, too.
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

  They are the most probable ones when every alpha is moved by Gumbel noise
  (Papandreou and Yuille 2011, Perturb-and-MAP; where no limit binds that draws
  by the probabilities themselves). So they differ the more, the less the alphas
  have decided.

  Args:
    leader: one of `leaders`.
    alphas: name of a choice to `f32[*shape, options]`, finite.
    limits: cost of the space to the largest value allowed.
    number: how many; fewer are returned where no others are found.
    rng: NumPy's generator; it moves on.
    fill: share of one limit that each should use, from 0 to 1.
    seconds: time limit of the solver for each that is asked for, and of all
      tries together that many times as much; fewer are returned where it ends
      them, which may depend on the machine.

  Returns:
    Different architectures, the leader not among them.

  Raises:
    InputError: no architecture keeps the limits, or none was found in time.
    ValueError: a number out of its range, or costs of another space.

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
      if kept:  # The leader shows that some can: its time was up.
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
  """The most probable one with these options, by choice.

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
