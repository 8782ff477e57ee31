"""Alphas that meet the limits after every step, without any penalty."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from nasjax.constraint.base import require_positive
from nasjax.cost import Cost

Tree = Mapping[str, jax.Array]

# The most by which two alphas of one choice are moved apart in one tilt.
_FARTHEST = 1e3


class ProjectState(NamedTuple):
  duals: jax.Array  # f32[costs], by how much alphas were tilted last, per r
  limits: jax.Array  # f32[costs], in the units of the costs


class Projection(NamedTuple):
  """A pair of pure functions.

  Attributes:
    init: `() -> state`.
    update: `(alphas, distribution, state) -> (alphas, state)`, where
      `distribution` is the function from alphas to the probabilities that costs
      take.
    costs: in the order of the state's duals.
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
  """Tilts alphas along the gradient of the expected costs until they fit.

  `alphas - sum_k m_k d r_k / d p`, with one dual `m_k` per limit and `r_k` the
  expected cost over its limit. For additive costs of independent choices these
  are the closest probabilities, in relative entropy, among those that keep the
  limits (Csiszar 1975: they are an exponential tilt), and the duals are found
  one after the other, each by Newton's method inside a bracket. Where widths
  meet, the gradient depends on the probabilities and is taken anew in every
  round. HardCoRe-NAS (Nayman et al. 2021) keeps its limit in every step, too,
  by linear programs on the host; this runs inside `jit`.

  Args:
    costs: of one space.
    limits: of each cost, positive, in its unit.
    equal: use a whole limit: if all expected costs are below their limits, tilt
      the alphas the other way until the first cost meets its limit. Limits that
      the largest architecture keeps are ignored.
    rounds: passes over the costs.
    iterations: of Newton's method, in each round for each cost.

  Returns:
    A projection. It approaches a limit that no architecture can keep; alphas
    stay finite.

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
        # What was tilted too far, for another limit's sake, is taken back.
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
  """Alphas tilted until a ratio of their distribution is 1, and by how much.

  Or as near to 1 as tilts from `low` to `high` come.
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
