"""What a solver is asked: options with their scores, and limits on costs."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import jax
import numpy as np

from nasjax.cost import Cost, Number
from nasjax.space import Axis, Choice, SearchSpace, axes, label, rows

Limits = Mapping[Cost, Number]
Floor = tuple[Cost, Number]
Index = dict[Axis, int]
# Name of a choice to `f32[*shape, options]`.
Alphas = Mapping[str, jax.Array | np.ndarray]


class Problem(NamedTuple):
  """The most probable options are wanted, within limits.

  Attributes:
    scores: log-probabilities of each single choice's options, `f64[options]`.
    limits: cost to what it is at most.
    floor: one of these costs, additive, with what it has to be at least.
  """

  scores: dict[Axis, np.ndarray]
  limits: Limits
  floor: Floor | None = None

  def value(self, index: Mapping[Axis, int]) -> float:
    """The sum of scores at one option of every choice."""
    return float(sum(s[index[axis]] for axis, s in self.scores.items()))

  def kept(self, index: Mapping[Axis, int]) -> bool:
    """Whether all limits and the floor are kept, in exact numbers."""
    return all(c.at(index) <= limit for c, limit in self.limits.items()) and (
      self.floor is None or self.floor[0].at(index) >= self.floor[1]
    )

  def given(self, axis: Axis, option: int) -> 'Problem':
    """The problem that is left when one choice is made."""
    floor = self.floor
    return Problem(
      {name: s for name, s in self.scores.items() if name != axis},
      {c.given(axis, option): limit for c, limit in self.limits.items()},
      floor and (floor[0].given(axis, option), floor[1]),
    )


class Split(NamedTuple):
  """A choice of which each option is solved by itself.

  Attributes:
    axis: the single choice.
    options: names of its options.
  """

  axis: Axis
  options: tuple[str, ...]


def drawn(choices: Mapping[str, Choice]) -> Split | None:
  """The first single choice whose options cannot be mixed, if there is one.

  Each of its options is a network of its own, so this choice stands in most
  tables. With one option given, the others meet only their neighbours: each
  problem is small, and its relaxation tight.

  Example:
    >>> from nasjax import spaces
    >>> drawn(spaces.tiny_macro().choices)
    Split(axis='pattern', options=('early', 'late'))
  """
  names = {name: c for name, c in choices.items() if c.drawn}
  first = next(iter(axes(names).items()), None)
  return first and Split(*first)


def log_softmax(alphas: jax.Array | np.ndarray) -> np.ndarray:
  """Log-probabilities of one choice's options, `f64[options]`.

  Raises:
    ValueError: alphas are not finite.
  """
  a = np.asarray(alphas, np.float64)
  if not np.isfinite(a).all():
    raise ValueError(f'deriving requires finite alphas, got {a}.')
  a = a - a.max()
  return a - np.log(np.exp(a).sum())


def scores_of(space: SearchSpace, alphas: Alphas) -> dict[Axis, np.ndarray]:
  """Log-probabilities of every single choice's options, in order.

  Args:
    space: the search space.
    alphas: name of a choice to `f32[*shape, options]`.

  Raises:
    ValueError: alphas lack a choice, are of other options, or not finite.
  """
  choices = space.choices
  missing = [name for name in choices if name not in alphas]
  if missing:
    raise ValueError(
      f'deriving requires alphas of every choice, got none of '
      f'{", ".join(missing)}.'
    )
  for name, choice in choices.items():
    shape, wanted = np.shape(alphas[name]), (*choice.shape, len(choice))
    if shape != wanted:
      raise ValueError(
        f'deriving requires alphas of {name} of shape {wanted}, got {shape}.'
      )
  single = rows({name: np.asarray(alphas[name]) for name in choices})
  return {axis: log_softmax(row) for axis, row in single.items()}


def check_costs(space: SearchSpace, costs: Iterable[Cost]) -> None:
  """Raises ValueError where a cost is not one of the space."""
  sizes = {axis: len(names) for axis, names in axes(space.choices).items()}
  for cost in costs:
    cost.check_space(space)
    wrong = {
      axis: f'{label(axis)} ({size} options)'
      for table in cost.tables
      for axis, size in zip(table.axes, table.shape, strict=True)
      if sizes.get(axis) != size
    }
    if wrong:
      raise ValueError(
        f'deriving requires costs of {space.name}, got {cost.name} with '
        f'{", ".join(wrong.values())}, which it does not have.'
      )
