"""A few architectures within limits, to choose among by training them."""

import itertools
from collections.abc import Iterator, Mapping

import jax
import numpy as np

from nasjax.derive.solve import Limits, log_prob, scores_of, within
from nasjax.errors import InputError
from nasjax.space import Architecture, Space

_NEVER = -1e4  # Nats, for the patterns that are not asked for.
_TRIES = 50  # For each architecture that is asked for.


def finalists(
  space: Space,
  alphas: Mapping[str, jax.Array],
  limits: Limits,
  number: int,
  rng: np.random.Generator,
  *,
  fill: float = 0.0,
) -> list[Architecture]:
  """The most probable architectures within limits, and others near them.

  First comes the most probable one of each pattern, as what is known of
  patterns are losses of drawn batches, and little. Then others are drawn, of
  each pattern in turn: the most probable ones when every alpha is moved by
  Gumbel noise (Papandreou and Yuille 2011, Perturb-and-MAP; where no limit
  binds that draws by the probabilities themselves). So there is the more to
  choose from, the less the alphas have decided.

  Args:
    space: what is chosen from.
    alphas: as of `within`.
    limits: as of `within`.
    number: how many; fewer are returned where no others are found.
    rng: NumPy's generator; it moves on.
    fill: as of `within`, for each of them.

  Returns:
    Different architectures; of the first, one for each pattern, the most
    probable leads.

  Raises:
    InputError: as `within`, or `number` is below 1.
    ValueError: as `within`.

  Example:
    >>> from nasjax import cost, space, spaces
    >>> macro = spaces.tiny_macro()
    >>> macs = cost.macs(macro)
    >>> limits = {macs: macs.bounds()[1]}
    >>> alphas = space.init_alphas(macro)
    >>> found = finalists(macro, alphas, limits, 4, np.random.default_rng(0))
    >>> [a.choice[0] for a in found[:2]], len(set(found))
    (['early', 'late'], 4)
  """
  if number < 1:
    raise InputError(f'number of finalists is {number}; it must be at least 1')
  leader = within(space, alphas, limits, fill=fill)
  scores = scores_of(space, alphas)
  of_patterns = list(_by_pattern(space, scores, limits, fill))
  found = sorted(of_patterns, key=lambda a: -log_prob(a, alphas)) or [leader]
  found = found[:number]
  patterns = [a.indices[0] if space.patterns else None for a in found]
  for turn in itertools.islice(itertools.cycle(patterns), _TRIES * number):
    if len(found) == number:
      break
    moved = {k: s + rng.gumbel(size=s.shape) for k, s in scores.items()}
    a = within(space, _only(moved, turn), limits, fill=fill)
    if a not in found:
      found.append(a)
  return found


def _by_pattern(space, scores, limits, fill) -> Iterator[Architecture]:
  """The most probable one of each pattern that keeps the limits."""
  for i in range(len(space.patterns)):
    a = within(space, _only(scores, i), limits, fill=fill)
    if a.indices[0] == i:
      yield a


def _only(scores: dict[str, np.ndarray], pattern: int | None):
  """Scores by which one pattern is taken, if any of it keeps the limits."""
  if pattern is None:
    return scores
  own = np.full_like(scores['pattern'], _NEVER)
  own[pattern] = 0.0
  return {**scores, 'pattern': own}
