"""Which guards a search has."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from nasjax import relax
from nasjax.guard.fairness import Fairness, strict, uniform
from nasjax.guard.skips import drop_skips, skips
from nasjax.relax import Relaxed, Sampled
from nasjax.space import Space

Schedule = Callable[[jax.Array], ArrayLike]


def is_hard(relaxed: Relaxed, choices: Mapping[str, Sequence[str]]) -> bool:
  """Whether weights are trained with one-hot probs, one op of a slot at a time.

  Args:
    relaxed: a relaxation with its distribution; it is tried on equal alphas.
    choices: slot to its options, two or more.

  Example:
    >>> slots = {'slot': ('mbconv_k3_e3', 'skip')}
    >>> tried = relax.SPARSEMAX, relax.STRAIGHT_THROUGH, relax.BINARY_GATES
    >>> [is_hard(r, slots) for r in tried]
    [False, True, True]
  """
  alphas = {name: jnp.zeros(len(options)) for name, options in choices.items()}
  mixed = relaxed.weight_probs or relaxed.probs
  probs, _ = relax.draw(mixed, alphas, 1.0, jax.random.key(0))
  return all(bool(((p == 0) | (p == 1)).all()) for p in probs.values())


def is_strict(fairness: Fairness | None) -> bool:
  """Whether it is `strict`, of whichever seed.

  Example:
    >>> is_strict(functools.partial(strict, seed=1)), is_strict(uniform)
    (True, False)
  """
  while isinstance(fairness, functools.partial):
    fairness = fairness.func
  return fairness is strict


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

  def check(self, space: Space, relaxation: Relaxed = relax.SOFTMAX) -> None:
    """Raises ValueError where a guard has nothing to act on.

    Args:
      space: the search space.
      relaxation: from alphas to what a guard acts on.
    """
    if self.skip_dropout is not None:
      self._check_dropout(space, relaxation)
    sampled = relax.is_sampled(relaxation, space.choices)
    if sampled and self.fairness is uniform:
      raise ValueError(
        'fairness uniform requires a relaxation that runs all ops; where they '
        'are drawn, it is strict fairness that trains them alike.'
      )

  def _check_dropout(self, space: Space, relaxation: Relaxed) -> None:
    if not skips(space):
      raise ValueError(
        f'skip_dropout requires a space with skips, got {space.name}.'
      )
    if is_strict(self.fairness):
      raise ValueError(
        'skip_dropout requires weights that are trained in mixtures: with '
        'strict fairness there is nothing beside a skip.'
      )
    if is_hard(relaxation, space.choices):
      raise ValueError(
        'skip_dropout requires a relaxation that mixes ops: where one counts, '
        'there is nothing beside a skip.'
      )

  def train_probs(
    self, drawn: Sampled, space: Space, step: jax.Array, key: jax.Array
  ) -> Sampled:
    """What the network is mixed with in a weights' step.

    Args:
      drawn: of the relaxation.
      space: the search space.
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
