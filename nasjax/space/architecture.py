"""An architecture: one option for every choice of a space."""

import dataclasses
import itertools
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, SupportsInt

import jax
import jax.numpy as jnp
import numpy as np

from nasjax import ops as ops_lib
from nasjax.errors import InputError
from nasjax.space import json_file, kinds
from nasjax.space.choices import Alphas, Axis, axes, label
from nasjax.space.protocol import SearchSpace


@dataclasses.dataclass(frozen=True)
class Architecture:
  """One option for every choice of a space.

  Attributes:
    space: the search space.
    choice: names of the chosen options, one for each of
      `nasjax.space.axes(space.choices)`, in that order.

  Raises:
    InputError: another number of names than the space has choices, or a name
      that is no option of its choice.

  Example:
    >>> from nasjax import spaces
    >>> space = spaces.tiny()
    >>> a = Architecture(space, ('mbconv_k3_e1', 'mbconv_k3_e3', 'skip'))
    >>> a.indices
    (0, 1, 2)
  """

  space: SearchSpace
  choice: tuple[str, ...]

  def __post_init__(self):
    options = axes(self.space.choices)
    if len(self.choice) != len(options):
      raise InputError(
        f'an architecture of {self.space.name} has {len(options)} choices, '
        f'got {len(self.choice)}'
      )
    for name, (axis, known) in zip(self.choice, options.items(), strict=True):
      if name not in known:
        raise InputError(
          f'{name!r} is no option of {label(axis)}; choose from '
          f'{", ".join(known)}'
        )

  @classmethod
  def from_indices(
    cls, space: SearchSpace, indices: Iterable[SupportsInt]
  ) -> 'Architecture':
    """Makes an architecture from the indices of the chosen options.

    Args:
      space: the search space.
      indices: place of the chosen option in every single choice, in the order
        of `nasjax.space.axes(space.choices)`.

    Raises:
      IndexError: an index is no option.
      ValueError: another number of indices than the space has choices.
    """
    pairs = zip(axes(space.choices).values(), indices, strict=True)
    return cls(space, tuple(names[int(i)] for names, i in pairs))

  @classmethod
  def from_named(
    cls, space: SearchSpace, named: Mapping[str, Any]
  ) -> 'Architecture':
    """Makes an architecture from the names of choices and options.

    Args:
      space: the search space.
      named: name of a choice to option; for a name with a shape, to nested
        lists of options. The property `named` returns it.

    Raises:
      InputError: other names, lengths or options than the space has.
    """
    missing = [name for name in space.choices if name not in named]
    if missing or len(named) != len(space.choices):
      raise InputError(
        f'its choice names the slots {", ".join(named)}; its space has '
        f'{", ".join(space.choices)}'
      )
    parts = [
      _flat(name, choice.shape, named[name])
      for name, choice in space.choices.items()
    ]
    return cls(space, tuple(itertools.chain.from_iterable(parts)))

  @property
  def named(self) -> dict[str, Any]:
    """Name to the chosen option; for a name with a shape to nested lists."""
    options = iter(self.choice)
    return {
      name: _nested(choice.shape, options)
      for name, choice in self.space.choices.items()
    }

  @property
  def indices(self) -> tuple[int, ...]:
    """The place of the chosen option in every single choice."""
    pairs = zip(axes(self.space.choices).values(), self.choice, strict=True)
    return tuple(names.index(name) for names, name in pairs)

  @property
  def index(self) -> dict[Axis, int]:
    """Single choice to the place of its chosen option."""
    return dict(zip(axes(self.space.choices), self.indices, strict=True))

  def save(self, path: str | pathlib.Path, **record) -> None:
    """Writes a self-contained JSON file, whole or not at all.

    Args:
      path: the file.
      **record: further JSON values to keep (costs, limits, command, seed,
        versions); `read_record` returns them.

    Raises:
      InputError: no file can hold a space of this kind, or the file cannot be
        written.
    """
    json_file.write(path, self.named, kinds.to_json(self.space), record)

  @classmethod
  def load(
    cls, path: str | pathlib.Path, ops: Sequence[type] = ()
  ) -> 'Architecture':
    """Reads what `save` wrote.

    Args:
      path: the file.
      ops: op classes beyond `nasjax.ops.BUILTIN` that it may name. Loading a
        file never imports code.

    Raises:
      InputError: the file is missing, truncated, of another format version,
        or names an op that does not exist.
    """
    document = json_file.read_record(path)
    try:
      classes = *ops_lib.BUILTIN, *ops
      space = kinds.from_json(document['space'], classes)
      hash(space)  # A name or a number that is a list shows here.
      return cls.from_named(space, document['choice'])
    except KeyError as e:
      raise InputError(f'architecture file {path}: {e} is missing') from e
    except (TypeError, ValueError) as e:
      raise InputError(f'architecture file {path}: {e}') from e


def fix(space: SearchSpace, architecture: Architecture) -> SearchSpace:
  """The derived network: `space.fix(architecture)`.

  Args:
    space: the architecture's space, or the same at another image size or
      number of classes (`resize`).
    architecture: one option for every choice.

  Raises:
    InputError: `space` has other choices than `architecture`.

  Example:
    >>> from nasjax import spaces
    >>> tiny = spaces.tiny()
    >>> network = fix(tiny, Architecture.from_indices(tiny, (0, 0, 0)))
    >>> len(tiny.choices), len(network.choices)
    (3, 0)
  """
  return space.fix(architecture)


def one_hot(architecture: Architecture, dtype=None) -> Alphas:
  """The probs that are 1 at the architecture's options and 0 elsewhere.

  Returns:
    A dict from the name of a choice to `f32[*shape, options]`.

  Example:
    >>> from nasjax import spaces
    >>> probs = one_hot(Architecture.from_indices(spaces.tiny(), (0, 1, 2)))
    >>> [p.tolist() for p in probs.values()]
    [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0, 1.0]]
  """
  found, left = {}, iter(architecture.indices)
  for name, choice in architecture.space.choices.items():
    index = np.array(_nested(choice.shape, left), np.int32)
    found[name] = jax.nn.one_hot(index, len(choice), dtype=dtype or float)
  return found


def argmax(
  space: SearchSpace, alphas: Mapping[str, jax.Array | np.ndarray]
) -> Architecture:
  """The most probable architecture, limits ignored.

  Args:
    space: the search space.
    alphas: name of a choice to `f32[*shape, options]`.

  Example:
    >>> from nasjax import spaces
    >>> tiny = spaces.tiny()
    >>> architecture = Architecture.from_indices(tiny, (0, 1, 2))
    >>> argmax(tiny, one_hot(architecture)) == architecture
    True
  """
  best = [np.ravel(jnp.argmax(alphas[name], -1)) for name in space.choices]
  return Architecture.from_indices(space, list(itertools.chain(*best)))


def _nested(shape: tuple[int, ...], values: Iterator[Any]) -> Any:
  """The next value, or for a shape nested lists of the next ones."""
  if not shape:
    return next(values)
  return [_nested(shape[1:], values) for _ in range(shape[0])]


def _flat(name: str, shape: tuple[int, ...], nested: Any) -> list[Any]:
  """The values of `_nested`, in order."""
  if not shape:
    return [nested]
  if not isinstance(nested, list | tuple) or len(nested) != shape[0]:
    raise InputError(
      f'the choice {name} takes {shape[0]} options in a list, got {nested!r}'
    )
  parts = [_flat(name, shape[1:], part) for part in nested]
  return list(itertools.chain.from_iterable(parts))
