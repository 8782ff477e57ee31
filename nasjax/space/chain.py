"""The vocabulary: slots, spaces, architectures. All static, all hashable.

A chain *space* is a sequence of *slots*; a slot holds candidate *ops* of which
a network has one. A slot with one op is fixed: stem, head and classifier are
such slots, and a published network is a space in which all slots are. A width
can be a choice, too, shared by the slots that name it. What is learned about
the choices lives outside, in `alphas`: a dict from the name of the slot or
width to `f32[options]`, the last axis being the choice.
"""

import dataclasses
import itertools
import math
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp

from nasjax import ops as ops_lib
from nasjax.errors import InputError
from nasjax.space import json_file
from nasjax.space.json_file import read_record as read_record
from nasjax.space.slots import LARGEST_SIZE
from nasjax.space.slots import Slot as Slot
from nasjax.space.slots import Width as Width
from nasjax.space.slots import pairs as pairs

Alphas = dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Space:
  """A chain of slots over square images.

  Attributes:
    name: for people and file names.
    image_size: height and width of the input.
    channels: of the input images.
    slots: from the image to the logits; the last slot's `features` is the
      number of classes.
    patterns: names of ways to downsample, one of which is chosen; none where
      every stride is one number. See `at_pattern`.

  Raises:
    InputError: images without a pixel or a channel, or larger than any array.
    ValueError: slots that do not go together.

  Example:
    >>> from nasjax import spaces
    >>> space = spaces.tiny()
    >>> list(space.choices)
    ['stage1_1', 'stage2_1', 'stage2_2']
  """

  name: str
  image_size: int
  channels: int
  slots: tuple[Slot, ...]
  patterns: tuple[str, ...] = ()

  def __post_init__(self):
    if self.image_size < 1 or self.channels < 1:
      raise InputError(
        f'space {self.name!r} requires images of at least 1 pixel and 1 '
        f'channel, got image_size {self.image_size} and channels '
        f'{self.channels}'
      )
    if max(self.image_size, self.channels) > LARGEST_SIZE:
      raise InputError(
        f'space {self.name!r} requires images of at most {LARGEST_SIZE} pixels '
        f'and channels, got image_size {self.image_size} and channels '
        f'{self.channels}'
      )
    if self.patterns:
      self._check_patterns()
      return
    for slot in self.slots:
      if not isinstance(slot.stride, int):
        raise ValueError(
          f'slot {slot.name!r} requires one stride, as {self.name!r} has no '
          f'patterns, got {slot.stride}.'
        )
    widths = {s.features for s in self.slots if isinstance(s.features, Width)}
    names = [part.name for part in (*self.slots, *widths)]
    if len(set(names)) < len(names):
      raise ValueError(
        f'space {self.name!r} requires slots and widths of different names, '
        f'got {", ".join(sorted(names))}.'
      )
    for before, slot in zip((None, *self.slots), self.slots, strict=False):
      for op, inputs, outputs in self.places(before, slot):
        if not op.fits(inputs, outputs, slot.stride):
          raise ValueError(
            f'op {op.name!r} does not fit slot {slot.name!r}: '
            f'{inputs} to {outputs} features, stride {slot.stride}.'
          )

  def _check_patterns(self):
    if len(set(self.patterns)) < 2 or 'pattern' in (s.name for s in self.slots):
      raise ValueError(
        f'space {self.name!r} requires at least two patterns of different '
        f'names and no slot of the name "pattern", got {self.patterns}.'
      )
    for slot in self.slots:
      each = not isinstance(slot.stride, int)
      if each and len(slot.stride) != len(self.patterns):
        raise ValueError(
          f'slot {slot.name!r} requires a stride for each of '
          f'{len(self.patterns)} patterns, got {slot.stride}.'
        )
    for i in range(len(self.patterns)):
      at_pattern(self, i)  # Each is a space: its ops fit.

  def places(
    self, before: Slot | None, slot: Slot
  ) -> Iterator[tuple[ops_lib.Op, int, int]]:
    """Every `(op, channels in, channels out)` that can come about in a slot.

    Args:
      before: the slot that feeds it; None for the image.
      slot: one of `slots`.
    """
    inputs = self.channels if before is None else before.features
    meeting = pairs(inputs, slot.features)
    for (n, m), op in itertools.product(meeting, slot.ops):
      yield op, n, m

  @property
  def num_classes(self) -> int:
    return self.slots[-1].features

  @property
  def choices(self) -> dict[str, tuple[str, ...]]:
    """Names of the options, for every slot and width with more than one.

    In the order of the chain, the pattern first; a width stands before the
    first slot of it.
    """
    found = {'pattern': self.patterns} if self.patterns else {}
    for slot in self.slots:
      if isinstance(slot.features, Width):
        found[slot.features.name] = tuple(map(str, slot.features.options))
      if len(slot.ops) > 1:
        found[slot.name] = slot.op_names
    return found


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
    return tuple(names.index(name) for names, name in pairs)

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
    document = read_record(path)
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


def at_pattern(space: Space, index: int) -> Space:
  """The space with one of its patterns chosen: its choices are the others.

  Example:
    >>> from nasjax import spaces
    >>> space = spaces.tiny_macro()
    >>> [[s.stride for s in at_pattern(space, i).slots][:3] for i in (0, 1)]
    [[2, 1, 2], [1, 2, 2]]
  """

  def fixed(slot):
    if isinstance(slot.stride, int):
      return slot
    return dataclasses.replace(slot, stride=slot.stride[index])

  return dataclasses.replace(
    space, slots=tuple(map(fixed, space.slots)), patterns=()
  )


def check_image_size(space: Space) -> None:
  """Refuses a space that would halve images of a single pixel.

  Costs and networks do so; that a space itself may be made leaves room to adapt
  its strides first (`nasjax.zoo.small_images`).

  Raises:
    InputError: with the least size that it takes.

  Example:
    >>> from nasjax import spaces
    >>> check_image_size(spaces.mobile_small(image_size=5))
  """
  for i in range(max(1, len(space.patterns))):
    one = at_pattern(space, i) if space.patterns else space
    least = 1 + math.prod(slot.stride for slot in one.slots) // 2
    if one.image_size < least:
      raise InputError(
        f'images are {one.image_size} pixels high; {space.name!r} downsamples '
        f'so often that it takes at least {least}'
      )


def resize(
  space: Space,
  *,
  image_size: int | None = None,
  channels: int | None = None,
  num_classes: int | None = None,
) -> Space:
  """The same slots for other images or classes; None leaves a thing as is."""
  *slots, last = space.slots
  if num_classes is not None:
    last = dataclasses.replace(last, features=num_classes)
  return dataclasses.replace(
    space,
    image_size=space.image_size if image_size is None else image_size,
    channels=space.channels if channels is None else channels,
    slots=(*slots, last),
  )


def init_alphas(
  space: Space, key: jax.Array | None = None, scale: float = 1e-3
) -> Alphas:
  """Logits of the choices at the start: equal, or almost so.

  Args:
    space: what is chosen from.
    key: PRNG key for normal noise that breaks ties (Liu et al. 2019, DARTS,
      draws 1e-3); None gives zeros. The key is consumed.
    scale: standard deviation of the noise.

  Returns:
    A dict from slot or width name to `f32[options]`.
  """
  alphas = {}
  for i, (slot, names) in enumerate(space.choices.items()):
    alphas[slot] = jnp.zeros(len(names))
    if key is not None:
      noise = jax.random.normal(jax.random.fold_in(key, i), (len(names),))
      alphas[slot] = scale * noise
  return alphas


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
