"""Which guards a search has."""

import dataclasses
from collections.abc import Callable

import jax
from jax.typing import ArrayLike

from nasjax.guard.fairness import Fairness
from nasjax.guard.skips import drop_skips, skips
from nasjax.space import Alphas, Space

Schedule = Callable[[jax.Array], ArrayLike]


@dataclasses.dataclass(frozen=True)
class Guards:
  """What acts inside the steps; None is off.

  Schedules are functions of the number of weight steps done, as optax's are.

  Attributes:
    entropy: weight of `total_entropy` in the alphas' loss.
    skip_dropout: rate of `drop_skips` in the weights' steps; alphas are judged
      with all paths in place.
    fairness: what replaces the probabilities in the weights' steps, `uniform`
      or `strict`.

  Example:
    >>> import optax
    >>> Guards(entropy=optax.linear_schedule(0.0, 0.1, 100)).fairness is None
    True
  """

  entropy: Schedule | None = None
  skip_dropout: Schedule | None = None
  fairness: Fairness | None = None

  def check(self, space: Space) -> None:
    """Raises ValueError where a guard has nothing to act on."""
    if self.skip_dropout is not None and not skips(space):
      raise ValueError(
        f'skip_dropout requires a space with skips, got {space.name}.'
      )

  def train_probs(
    self, probs: Alphas, space: Space, step: jax.Array, key: jax.Array
  ) -> Alphas:
    """What the network is mixed with in a weights' step.

    Args:
      probs: of the relaxation.
      space: what is chosen from.
      step: weight steps done.
      key: PRNG key, consumed.
    """
    if self.fairness is not None:
      probs = self.fairness(probs, step)
    if self.skip_dropout is not None:
      probs = drop_skips(probs, space, self.skip_dropout(step), key)
    return probs
