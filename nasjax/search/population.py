"""Several searches in one program.

All in which searches of one space may differ, limits, strengths and seeds, is
data in their states. So one compiled step serves any number of them: called for
one after the other, or, on accelerators, which a single small search leaves
idle, for all at once, side by side along a new first axis of every array.

On a CPU one after the other is right: there a step over 8 members took 5 times
as long as 8 steps.
"""

import operator
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from nasjax import relax
from nasjax.constraint import Constraint, Projection, chain
from nasjax.relax import Relaxed
from nasjax.search.make import Search
from nasjax.search.state import State
from nasjax.space import Space


def member(
  state: State,
  constraints: Sequence[Constraint],
  projection: Projection | None = None,
) -> State:
  """A state at its start, with limits and strengths of its own.

  Args:
    state: of `Search.init`.
    constraints: of the same forms, in the same order, as those that the search
      was made with; their numbers count.
    projection: likewise.

  Raises:
    ValueError: the forms are not those of the search.

  Example:
    >>> from nasjax import constraint
    >>> old = constraint.lagrangian(limit=8000, rate=0.1)
    >>> new = constraint.lagrangian(limit=5000, rate=0.1)
    >>> empty = State(*[()] * len(State._fields))
    >>> state = empty._replace(constraints=(old.init(),))
    >>> float(member(state, [new]).constraints[0].limit)
    5000.0
  """
  own = state._replace(
    constraints=chain(*constraints).init(),
    projection=() if projection is None else projection.init(),
  )
  shapes = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype), tree)  # noqa: E731
  for name in ('constraints', 'projection'):
    had, has = (shapes(getattr(s, name)) for s in (state, own))
    if had != has:
      raise ValueError(
        f'member requires the {name} that the search was made with, but for '
        f'their numbers: {had}, got {has}.'
      )
  return own


def stack(states: Sequence[State]) -> State:
  """States of one search, side by side: every array gets a first axis."""
  return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


def unstack(states: State) -> list[State]:
  """What `stack` was given."""
  members = range(len(states.step))
  return [jax.tree.map(operator.itemgetter(i), states) for i in members]


def together(
  search: Search, space: Space, relaxation: Relaxed, mesh: Mesh | None = None
) -> Search:
  """A search whose state is that of many members, and so are its metrics.

  Args:
    search: of one member; nothing has jitted it.
    space: that it searches.
    relaxation: that it was made with.
    mesh: devices over whose one axis the members are split, evenly. Each has
      all the images; nothing is communicated.

  Returns:
    Functions as those of `Search`, of stacked states: `init` takes keys,
    `[members]`. What `stack` gives of members' states is one, too.

  Raises:
    ValueError: members would not run what they draw, see below. A conditional
      that is mapped over computes all its branches, so that drawing ops, or
      where a network downsamples, saves nothing: call the one step for one
      member after the other.
  """
  drawn = 'ops that run are drawn'
  if not relax.is_sampled(relaxation, space.choices):
    drawn = 'patterns are drawn' if space.patterns else None
  if drawn is not None:
    raise ValueError(
      f'together requires that every member runs the same, but {drawn}: side '
      'by side all of them would be computed for each member.'
    )

  def mapped(f, arrays):
    all_members = jax.vmap(f, in_axes=(0,) + (None,) * arrays)
    if mesh is None:
      return all_members
    (axis,) = mesh.axis_names
    split, whole = PartitionSpec(axis), PartitionSpec()
    return jax.shard_map(
      all_members,
      mesh=mesh,
      in_specs=(split,) + (whole,) * arrays,
      out_specs=split,
      check_vma=False,  # Nothing is communicated that could be left out.
    )

  takes = Search(
    init=2, weight_step=1, alpha_step=2, step=2, eigenvalue=1, params=0
  )
  return Search(*map(mapped, search, takes))
