"""What was chosen: one option for every choice of a space."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp

from nasjax import ops as ops_lib
from nasjax.errors import InputError
from nasjax.space import json_file
from nasjax.space.chain import Space, at_pattern
from nasjax.space.choices import Alphas
from nasjax.space.slots import Width


@dataclasses.dataclass(frozen=True)
class Architecture:
  """One option for every choice that a space leaves.

  Attributes:
    space: what was chosen from.
    choice: names of ops and widths, in the order of `space.choices`.

  Example:
    >>> from nasjax import spaces
    >>> space = spaces.tiny()
    >>> a = Architecture(space, ('mbconv_k3_e1', 'mbconv_k3_e3', 'skip'))
    >>> a.indices
    (0, 1, 2)
  """

  space: Space
  choice: tuple[str, ...]

  def __post_init__(self):
    choices = self.space.choices
    if len(self.choice) != len(choices):
      raise InputError(
        f'an architecture of {self.space.name} has {len(choices)} choices, '
        f'got {len(self.choice)}'
      )
    for name, (slot, known) in zip(self.choice, choices.items(), strict=True):
      if name not in known:
        raise InputError(
          f'{name!r} is no option of {slot}; choose from {", ".join(known)}'
        )

  @classmethod
  def from_indices(cls, space: Space, indices: Sequence[int]) -> 'Architecture':
    """From the place of the chosen option in every choice."""
    pairs = zip(space.choices.values(), indices, strict=True)
    return cls(space, tuple(names[int(i)] for names, i in pairs))

  @property
  def indices(self) -> tuple[int, ...]:
    pairs = zip(self.space.choices.values(), self.choice, strict=True)
    return tuple(names.options.index(name) for names, name in pairs)

  def save(self, path: str | pathlib.Path, **record) -> None:
    """Writes a self-contained JSON file, whole or not at all.

    Args:
      path: where.
      **record: what else is to be kept (costs, limits, command, seed,
        versions), as JSON values; `read_record` gives it back.
    """
    choice = dict(zip(self.space.choices, self.choice, strict=True))
    json_file.write(path, choice, vars(self.space), record)

  @classmethod
  def load(
    cls, path: str | pathlib.Path, ops: Sequence[type] = ()
  ) -> 'Architecture':
    """Reads what `save` wrote.

    Args:
      path: the file.
      ops: op classes beyond `nasjax.ops.BUILTIN` that it may name. The file
        alone never makes anything be imported.

    Raises:
      InputError: the file is missing, truncated, of another format version,
        or names an op that does not exist.
    """
    document = json_file.read_record(path)
    try:
      fields = json_file.space_fields(
        document['space'], (*ops_lib.BUILTIN, *ops)
      )
      space = Space(**fields)
      hash(space)  # A name or a number that is a list shows here.
      choice = document['choice']
      missing = [name for name in space.choices if name not in choice]
      if missing or len(choice) != len(space.choices):
        raise InputError(
          f'its choice names the slots {", ".join(choice)}; its space has '
          f'{", ".join(space.choices)}'
        )
      return cls(space, tuple(choice[name] for name in space.choices))
    except KeyError as e:
      raise InputError(f'architecture file {path}: {e} is missing') from e
    except (TypeError, ValueError) as e:
      raise InputError(f'architecture file {path}: {e}') from e


def fix(space: Space, architecture: Architecture) -> Space:
  """The derived network: `space` with the chosen op alone in every slot.

  Args:
    space: the architecture's space, or the same at another image size or
      number of classes (`resize`).
    architecture: what to keep.

  Raises:
    InputError: `space` has other choices than `architecture`.
  """
  choice = Architecture(space, architecture.choice)
  index = dict(zip(space.choices, choice.indices, strict=True))
  if space.patterns:
    space = at_pattern(space, index['pattern'])

  def fixed(slot):
    features = slot.features
    if isinstance(features, Width):
      features = features.options[index[features.name]]
    op = slot.ops[index.get(slot.name, 0)]
    return dataclasses.replace(slot, ops=(op,), features=features)

  return dataclasses.replace(space, slots=tuple(map(fixed, space.slots)))


def one_hot(architecture: Architecture, dtype=None) -> Alphas:
  """The probs that are 1 at the architecture's ops and 0 elsewhere."""
  choices = architecture.space.choices.items()
  return {
    slot: jax.nn.one_hot(i, len(names), dtype=dtype or float)
    for (slot, names), i in zip(choices, architecture.indices, strict=True)
  }


def argmax(space: Space, alphas: Mapping[str, jax.Array]) -> Architecture:
  """The most probable architecture, limits aside."""
  return Architecture.from_indices(
    space, [int(jnp.argmax(alphas[slot])) for slot in space.choices]
  )
