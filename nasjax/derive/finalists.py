"""A few architectures within limits, to choose among by training them."""

import contextlib
import time
from collections.abc import Mapping

import jax
import numpy as np

from nasjax.derive.limits import Limits, cost_at_pattern, uses
from nasjax.derive.solve import SECONDS, log_prob, scores_of, within
from nasjax.errors import InputError
from nasjax.space import Architecture, Space, at_pattern

_TRIES = 50  # For each architecture that is asked for.


def leaders(
  space: Space,
  alphas: Mapping[str, jax.Array],
  limits: Limits,
  *,
  fill: float = 0.0,
  seconds: float = SECONDS,
) -> list[Architecture]:
  """The most probable architecture of each pattern, the most probable first.

  What is known of patterns are losses of drawn batches, and little: these are
  for whoever wants to compare patterns in another way.

  Args:
    space: the search space.
    alphas: as of `within`.
    limits: as of `within`.
    fill: as of `within`, for each of them.
    seconds: time limit of the solver, for each of them; a pattern of which it
      finds none in time is left out.

  Returns:
    One for each pattern of which any architecture keeps the limits, and uses
    `fill` of one where any pattern's does; the first is the one that `within`
    gives, and of a space without patterns the only one.

  Raises:
    InputError: as `within`.
    ValueError: as `within`.

  Example:
    >>> from nasjax import cost, space, spaces
    >>> macro = spaces.tiny_macro()
    >>> macs = cost.macs(macro)
    >>> limits = {macs: macs.bounds()[1]}
    >>> [a.choice[0] for a in leaders(macro, space.init_alphas(macro), limits)]
    ['late', 'early']
  """
  best = within(space, alphas, limits, fill=fill, seconds=seconds)
  if not space.patterns:
    return [best]
  scores = scores_of(space, alphas)
  found = []
  for i in range(len(space.patterns)):
    with contextlib.suppress(InputError):  # None of it keeps the limits.
      found.append(_of_pattern(space, i, scores, limits, fill, seconds))
  if uses(best, limits, fill):
    found = [a for a in found if uses(a, limits, fill)]
  # Of equally probable ones the first is that of `within`, too.
  return sorted(found, key=lambda a: (a != best, -log_prob(a, alphas)))


def finalists(
  leader: Architecture,
  alphas: Mapping[str, jax.Array],
  limits: Limits,
  number: int,
  rng: np.random.Generator,
  *,
  fill: float = 0.0,
  seconds: float = SECONDS,
) -> list[Architecture]:
  """Architectures near the most probable one, of its pattern.

  They are the most probable ones when every alpha is moved by Gumbel noise
  (Papandreou and Yuille 2011, Perturb-and-MAP; where no limit binds that draws
  by the probabilities themselves). So they differ the more, the less the alphas
  have decided.

  Args:
    leader: one of `leaders`.
    alphas: as of `within`.
    limits: as of `within`.
    number: how many; fewer are returned where no others are found.
    rng: NumPy's generator; it moves on.
    fill: as of `within`, for each of them.
    seconds: time limit of the solver for each that is asked for, and of all
      tries together that many times as much; fewer are returned where it ends
      them, which may depend on the machine.

  Returns:
    Different architectures, the leader not among them.

  Raises:
    InputError: as `within`.
    ValueError: as `within`.

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
  pattern = leader.indices[0] if space.patterns else None
  found: list[Architecture] = []
  kept = all(c.exact(leader) <= limit for c, limit in limits.items())
  end = time.monotonic() + seconds * number
  for _ in range(_TRIES * number):
    left = min(seconds, end - time.monotonic())
    if len(found) == number or left < 0:
      break
    moved = {k: s + rng.gumbel(size=s.shape) for k, s in scores.items()}
    try:
      if pattern is None:
        a = within(space, moved, limits, fill=fill, seconds=left)
      else:
        a = _of_pattern(space, pattern, moved, limits, fill, left)
    except InputError:
      if kept:  # The leader shows that some can: its time was up.
        continue
      raise
    if a not in (leader, *found):
      found.append(a)
  return found


def _of_pattern(
  space, pattern: int, scores, limits, fill, seconds
) -> Architecture:
  """The most probable one of a pattern; raises InputError if there is none."""
  own = {cost_at_pattern(c, pattern): limit for c, limit in limits.items()}
  a = within(
    at_pattern(space, pattern), scores, own, fill=fill, seconds=seconds
  )
  return Architecture(space, (space.patterns[pattern], *a.choice))
