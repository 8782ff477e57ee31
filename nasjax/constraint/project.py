"""Projects the alphas to the limits after every alpha step."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from nasjax.constraint.base import require_positive
from nasjax.cost import Cost

Tree = Mapping[str, jax.Array]

# Largest change of the difference of two alphas of one choice, in one tilt.
_FARTHEST = 1e3


class ProjectState(NamedTuple):
  duals: jax.Array  # f32[costs], of the last tilt, per unit of r
  limits: jax.Array  # f32[costs], in the units of the costs


class Projection(NamedTuple):
  """A pair of pure functions.

  Attributes:
    init: `() -> state`.
    update: `(alphas, distribution, state) -> (alphas, state)`, where
      `distribution` maps alphas to the probabilities that costs take.
    costs: the projected costs, in the order of the state's duals.
  """

  init: Callable[[], ProjectState]
  update: Callable[
    [Tree, Callable[[Tree], Tree], ProjectState], tuple[Tree, ProjectState]
  ]
  costs: tuple[Cost, ...]


def project(
  costs: Sequence[Cost],
  limits: Sequence[float],
  *,
  equal: bool = False,
  rounds: int = 4,
  iterations: int = 12,
) -> Projection:
  """Moves alphas along the gradient of the expected costs to the limits.

  `alphas - sum_k m_k d r_k / d p`, with one dual `m_k` per limit and `r_k` the
  expected cost over its limit. For additive costs of independent choices these
  are the closest probabilities, in relative entropy, among those that satisfy
  the limits (Csiszar 1975: they are an exponential tilt). The duals are found
  one after the other, each by Newton's method inside a bracket. Where a cost
  depends on two choices together, such as adjacent widths, the gradient depends
  on the probabilities and is computed again in every round. HardCoRe-NAS
  (Nayman et al. 2021) also satisfies its limit in every step, by linear
  programs on the host; this runs inside `jit`.

  Args:
    costs: additive costs of one space.
    limits: the limit of each cost, positive, in its unit.
    equal: equality: if all expected costs are below their limits, tilt the
      alphas the other way until the first cost equals its limit. Limits that
      the largest architecture satisfies are ignored here.
    rounds: passes over the costs.
    iterations: steps of Newton's method, in each round for each cost.

  Returns:
    A projection. If no architecture satisfies a limit, the expected cost
    approaches its minimum; alphas stay finite.

  Raises:
    ValueError: an argument out of its range.

  Example:
    >>> from nasjax import cost, relax, space, spaces
    >>> tiny = spaces.tiny()
    >>> macs, alphas = cost.macs(tiny), space.init_alphas(tiny)
    >>> keep = project([macs], [5500])
    >>> int(macs(relax.softmax(alphas)))
    6213
    >>> alphas, _ = keep.update(alphas, relax.softmax, keep.init())
    >>> round(float(macs(relax.softmax(alphas))))
    5500
  """
  costs = tuple(costs)
  if not costs or len(costs) != len(limits):
    raise ValueError(
      f'project requires a limit for each of at least one cost, got '
      f'{len(costs)} costs and {len(limits)} limits.'
    )
  for cost, limit in zip(costs, limits, strict=True):
    if cost.reduction != 'sum':
      raise ValueError(
        f'project requires additive costs, got {cost.name}, a maximum; '
        'deriving keeps its limit.'
      )
    require_positive('project', **{f'limit on {cost.name}': limit})

  highest = [cost.bounds()[1] for cost in costs] if equal else []

  def init():
    return ProjectState(
      jnp.zeros(len(costs), jnp.float32), jnp.asarray(limits, jnp.float32)
    )

  def update(alphas, distribution, state):
    def ratio(k, probs):
      return costs[k](probs) / state.limits[k]

    def ratios(probs):
      return jnp.stack([ratio(k, probs) for k in range(len(costs))])

    def one_round(_, carry):
      tilted, duals = carry
      for k in range(len(costs)):
        one = functools.partial(ratio, k)
        # Undo the part of an earlier tilt that other limits made needless.
        back = -jnp.maximum(duals[k], 0)
        tilted, step = _met(
          one, distribution, tilted, back, jnp.inf, iterations
        )
        duals = duals.at[k].add(step)
      if equal:
        binds = state.limits < jnp.asarray(highest)
        bound = lambda probs: jnp.where(binds, ratios(probs), -1.0)  # noqa: E731
        first = bound(distribution(tilted)).argmax()
        farthest = jnp.where(binds.any(), -jnp.inf, 0.0)
        largest = lambda probs: bound(probs).max()  # noqa: E731
        tilted, step = _met(
          largest, distribution, tilted, farthest, 0.0, iterations
        )
        duals = duals.at[first].add(step)
      return tilted, duals

    start = dict(alphas), jnp.zeros_like(state.duals)
    tilted, duals = jax.lax.fori_loop(0, rounds, one_round, start)
    return tilted, state._replace(duals=duals)

  return Projection(init, update, costs)


def _met(
  ratio: Callable[[Tree], jax.Array],
  distribution: Callable[[Tree], Tree],
  alphas: Tree,
  low: ArrayLike,
  high: ArrayLike,
  iterations: int,
) -> tuple[Tree, jax.Array]:
  """Alphas tilted until a ratio of their distribution is 1, and the step.

  The step stays within `low` and `high`, so the ratio may miss 1.
  """
  way = _centred(jax.grad(ratio)(distribution(alphas)))
  farthest = _FARTHEST / _spread(way)
  step = _root(
    lambda m: ratio(distribution(_moved(alphas, way, m))) - 1,
    jnp.maximum(low, -farthest),
    jnp.minimum(high, farthest),
    iterations,
  )
  return _moved(alphas, way, step), step


def _centred(way: Tree) -> Tree:
  """Subtracts the mean over each choice, which softmax ignores."""
  return jax.tree.map(lambda d: d - d.mean(-1, keepdims=True), way)


def _spread(way: Tree) -> jax.Array:
  """The largest difference between two options of one choice."""
  spreads = [jnp.ptp(d, axis=-1).max() for d in way.values()]
  return jnp.maximum(functools.reduce(jnp.maximum, spreads), 1e-12)


def _moved(alphas: Tree, way: Tree, step: jax.Array) -> Tree:
  return jax.tree.map(lambda a, d: a - step * d, alphas, way)


def _root(
  excess: Callable[[jax.Array], jax.Array],
  low: jax.Array,
  high: jax.Array,
  iterations: int,
) -> jax.Array:
  """Where a falling function is 0, or the end of the bracket next to it.

  Newton's method from 0, halving the bracket wherever that would leave it.
  """

  def body(_, carry):
    m, low, high = carry
    value, slope = jax.jvp(excess, (m,), (jnp.ones_like(m),))
    low, high = jnp.where(value > 0, m, low), jnp.where(value > 0, high, m)
    newton = m - value / jnp.where(slope < 0, slope, -1.0)
    inside = (slope < 0) & (low <= newton) & (newton <= high)
    return jnp.where(inside, newton, (low + high) / 2), low, high

  start = jnp.zeros_like(high)
  m, _, _ = jax.lax.fori_loop(0, iterations, body, (start, low + start, high))
  return m
