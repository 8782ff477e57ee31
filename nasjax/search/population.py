"""Several searches in one program.

Limits, strengths and seeds are data in the state of a search. So one compiled
step serves any number of searches that differ only in these: one after the
other, or all at once along a new first axis of every array. Run them at once on
accelerators, which a single small search does not fill.

On a CPU, run them one after the other: there a step over 8 members took 5 times
as long as 8 steps.
"""

import operator
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from nasjax import relax
from nasjax.constraint import Constraint, Projection, chain
from nasjax.relax import Relaxed
from nasjax.search.make import Search
from nasjax.search.state import State
from nasjax.space import Choice


def member(
  state: State,
  constraints: Sequence[Constraint],
  projection: Projection | None = None,
) -> State:
  """A first state with other limits and strengths.

  Args:
    state: the result of `Search.init`.
    constraints: constraints of the same forms, in the same order, as those of
      the search; their numbers replace those in the state.
    projection: projection of the same form as that of the search; its numbers
      replace those in the state.

  Returns:
    The state with other limits and strengths.

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
  """Stacks the states of members: every array gets a first axis.

  Args:
    states: states of one search (`Search.init`, `member`), at least one.

  Returns:
    A state whose arrays are `[members, ...]`.
  """
  return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


def unstack(states: State) -> list[State]:
  """Inverts `stack`.

  Args:
    states: a state whose arrays are `[members, ...]`.

  Returns:
    The state of each member, without the first axis.
  """
  members = range(len(states.step))
  return [jax.tree.map(operator.itemgetter(i), states) for i in members]


def together(
  search: Search,
  choices: Mapping[str, Choice],
  relaxation: Relaxed,
  mesh: Mesh | None = None,
) -> Search:
  """A search of many members at once: states and metrics have a member axis.

  Args:
    search: the functions of one member, not jitted.
    choices: the choices of this search.
    relaxation: the relaxation of this search.
    mesh: devices along one axis. The members are split evenly over them, so
      their number has to be a multiple of the devices. Every device has all
      images; nothing is communicated. None: all members on one device.

  Returns:
    Functions like those of `Search`, on stacked states; `init` takes keys,
    `[members]`. `stack` makes such a state from the states of members.

  Raises:
    ValueError: the relaxation samples ops, or options are drawn. A conditional
      under `vmap` computes all of its branches, so sampling would save nothing:
      run one member after the other.
  """
  names = [name for name, choice in choices.items() if choice.drawn]
  drawn = f'options of {", ".join(names)} are drawn' if names else None
  if relax.is_sampled(relaxation, choices):
    drawn = 'ops that run are drawn'
  if drawn is not None:
    raise ValueError(
      f'together requires that every member runs the same, but {drawn}; run '
      'one member after the other.'
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

  return Search(
    init=mapped(search.init, 2),
    weight_step=mapped(search.weight_step, 1),
    alpha_step=mapped(search.alpha_step, 2),
    step=mapped(search.step, 2),
    eigenvalue=mapped(search.eigenvalue, 1),
    params=mapped(search.params, 1),
    losses=mapped(search.losses, 2),
  )
