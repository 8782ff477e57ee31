"""The most probable architecture of each option of the drawn choice."""

import contextlib
from collections.abc import Mapping

from nasjax.derive.limits import uses
from nasjax.derive.problem import (
  Alphas,
  Axis,
  Limits,
  Problem,
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
