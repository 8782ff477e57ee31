"""The guards that act inside the steps of a search."""

import dataclasses
import functools
from collections.abc import Callable, Mapping

import jax
from jax.typing import ArrayLike

from nasjax import relax
from nasjax.guard.fairness import Fairness, strict, uniform
from nasjax.guard.skips import drop_skips, skips
from nasjax.relax import Relaxed, Sampled
from nasjax.space import Choice, init_alphas

Schedule = Callable[[jax.Array], ArrayLike]


def is_hard(relaxed: Relaxed, choices: Mapping[str, Choice]) -> bool:
  """Whether weights are trained with one-hot probs, one option at a time.

  Args:
    relaxed: a relaxation with its distribution; it is tried on equal alphas.
    choices: name to choice, each of two options or more.

  Example:
    >>> choices = {'op': Choice(('mbconv_k3_e3', 'skip'))}
    >>> tried = relax.SPARSEMAX, relax.STRAIGHT_THROUGH, relax.BINARY_GATES
    >>> [is_hard(r, choices) for r in tried]
    [False, True, True]
  """
  alphas = init_alphas(choices)
  mixed = relaxed.weight_probs or relaxed.probs
  probs, _ = relax.draw(mixed, alphas, 1.0, jax.random.key(0))
  return all(bool(((p == 0) | (p == 1)).all()) for p in probs.values())


def is_strict(fairness: Fairness | None) -> bool:
  """Whether the fairness is `strict`, with any seed.

  Example:
    >>> is_strict(functools.partial(strict, seed=1)), is_strict(uniform)
    (True, False)
  """
  while isinstance(fairness, functools.partial):
    fairness = fairness.func
  return fairness is strict


@dataclasses.dataclass(frozen=True)
class Guards:
  """The guards inside the steps; None is off.

  Schedules are functions of the number of weight steps done, as in optax.

  Attributes:
    entropy: weight of `total_entropy` in the alphas' loss.
    skip_dropout: rate of `drop_skips` in weight steps; alpha steps keep all
      paths.
    fairness: replaces the probabilities in weight steps: `uniform` or `strict`.

  Example:
    >>> import optax
    >>> Guards(entropy=optax.linear_schedule(0.0, 0.1, 100)).fairness is None
    True
  """

  entropy: Schedule | None = None
  skip_dropout: Schedule | None = None
  fairness: Fairness | None = None

  def check(
    self, choices: Mapping[str, Choice], relaxation: Relaxed = relax.SOFTMAX
  ) -> None:
    """Refuses guards that would have no effect.

    Args:
      choices: name to choice, of the search.
      relaxation: of the search.

    Raises:
      ValueError: a guard would have no effect.
    """
    if self.skip_dropout is not None:
      self._check_dropout(choices, relaxation)
    sampled = relax.is_sampled(relaxation, choices)
    if sampled and self.fairness is uniform:
      raise ValueError(
        'fairness uniform requires a relaxation that runs all ops; where ops '
        'are sampled, use strict fairness.'
      )

  def _check_dropout(self, choices, relaxation) -> None:
    if not skips(choices):
      raise ValueError(
        'skip_dropout requires a choice with a skip, and none of '
        f'{", ".join(choices) or "0 choices"} has one.'
      )
    if is_strict(self.fairness):
      raise ValueError(
        'skip_dropout requires weights that are trained in mixtures; with '
        'strict fairness one option runs at a time.'
      )
    if is_hard(relaxation, choices):
      raise ValueError(
        'skip_dropout requires a relaxation that mixes options; with this one '
        'the probabilities are one-hot.'
      )

  def train_probs(
    self,
    sampled: Sampled,
    choices: Mapping[str, Choice],
    step: jax.Array,
    key: jax.Array,
  ) -> Sampled:
    """The probs and the index of a weight step.

    Args:
      sampled: what the relaxation returned.
      choices: name to choice, of the search.
      step: weight steps done, `i32[]`.
      key: PRNG key, consumed.
    """
    probs, index = sampled
    if self.fairness is not None:
      probs = self.fairness(probs, step)
      if index is not None:
        index = {name: p.argmax(-1)[..., None] for name, p in probs.items()}
    if self.skip_dropout is not None:
      probs = drop_skips(probs, choices, self.skip_dropout(step), key)
    return Sampled(probs, index)
