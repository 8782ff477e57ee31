"""Which guards a search has."""

import dataclasses
from collections.abc import Callable

import jax
from jax.typing import ArrayLike

from nasjax.guard.fairness import Fairness, uniform
from nasjax.guard.skips import drop_skips, skips
from nasjax.relax import Sampled
from nasjax.space import Space

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

  def check(self, space: Space, *, sampled: bool = False) -> None:
    """Raises ValueError where a guard has nothing to act on.

    Args:
      space: what is chosen from.
      sampled: only the ops that a relaxation draws run.
    """
    if self.skip_dropout is not None and not skips(space):
      raise ValueError(
        f'skip_dropout requires a space with skips, got {space.name}.'
      )
    if sampled and self.skip_dropout is not None:
      raise ValueError(
        'skip_dropout requires a relaxation that runs all ops: where one op is '
        'drawn, there is nothing beside a skip.'
      )
    if sampled and self.fairness is uniform:
      raise ValueError(
        'fairness uniform requires a relaxation that runs all ops; where they '
        'are drawn, it is strict fairness that trains them alike.'
      )

  def train_probs(
    self, drawn: Sampled, space: Space, step: jax.Array, key: jax.Array
  ) -> Sampled:
    """What the network is mixed with in a weights' step.

    Args:
      drawn: of the relaxation.
      space: what is chosen from.
      step: weight steps done.
      key: PRNG key, consumed.
    """
    probs, index = drawn
    if self.fairness is not None:
      probs = self.fairness(probs, step)
      if index is not None:
        index = {name: p.argmax(-1)[..., None] for name, p in probs.items()}
    if self.skip_dropout is not None:
      probs = drop_skips(probs, space, self.skip_dropout(step), key)
    return Sampled(probs, index)
