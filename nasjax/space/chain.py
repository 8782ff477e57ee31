"""Spaces that are a chain of slots, one after the other."""

import dataclasses
import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import flax.linen as nn

from nasjax.errors import InputError
from nasjax.ops import Numerics, Op, Skip
from nasjax.space import chain_tables
from nasjax.space.block import Measure
from nasjax.space.choices import Choice
from nasjax.space.slots import Slot, Width, check_images, pairs
from nasjax.space.table import Table

if TYPE_CHECKING:
  from nasjax.space.architecture import Architecture
  from nasjax.space.protocol import SearchSpace

_NUMERICS = Numerics()


@dataclasses.dataclass(frozen=True)
class Space:
  """A chain of slots over square images.

  Attributes:
    name: name in messages and file names.
    image_size: height and width of the input.
    channels: channels of the input images.
    slots: from the image to the logits; the last slot's `features` is the
      number of classes.
    patterns: names of the downsampling patterns, one of which is chosen; empty
      if every stride is one number. See `at_pattern`.

  Raises:
    InputError: image size or channels below 1 or too large.
    ValueError: slots do not fit together: equal names, an op that does not fit
      its slot, or strides that do not match the patterns.

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
    check_images(self.name, self.image_size, self.channels)
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
        if not op.fits(inputs, outputs, slot.fixed_stride):
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
      each = slot.stride
      if isinstance(each, tuple) and len(each) != len(self.patterns):
        raise ValueError(
          f'slot {slot.name!r} requires a stride for each of '
          f'{len(self.patterns)} patterns, got {slot.stride}.'
        )
    for i in range(len(self.patterns)):
      at_pattern(self, i)  # Each is a space: its ops fit.

  def places(
    self, before: Slot | None, slot: Slot
  ) -> Iterator[tuple[Op, int, int]]:
    """Every `(op, input channels, output channels)` that a slot can have.

    Args:
      before: the slot before it; None for the image.
      slot: one of `slots`.
    """
    inputs = self.channels if before is None else before.features
    meeting = pairs(inputs, slot.features)
    for (n, m), op in itertools.product(meeting, slot.ops):
      yield op, n, m

  @property
  def num_classes(self) -> int:
    return max(self.slots[-1].widths)

  @property
  def choices(self) -> dict[str, Choice]:
    """Every slot and width with more than one option, and the pattern.

    They are in the order of the chain, the pattern first; a width comes before
    the first slot that has it.
    """
    found = {}
    if self.patterns:
      found['pattern'] = Choice(self.patterns, drawn=True)
    for slot in self.slots:
      if isinstance(slot.features, Width):
        width = slot.features
        found[width.name] = Choice(tuple(map(str, width.options)))
      if len(slot.ops) > 1:
        skips = [i for i, op in enumerate(slot.ops) if isinstance(op, Skip)]
        skip = skips[0] if skips else None
        found[slot.name] = Choice(slot.op_names, skip=skip)
    return found

  def network(self, numerics: Numerics = _NUMERICS) -> nn.Module:
    """The chain as a module, called `(images, probs, *, train, index=None)`."""
    # Imported here, since the modules of supernets import spaces.
    from nasjax.supernet import Supernet

    return Supernet(self, numerics)

  def search_network(self, numerics: Numerics = _NUMERICS) -> nn.Module:
    """The same as `network`: a chain is searched at full size."""
    return self.network(numerics)

  def fix(self, architecture: 'Architecture') -> 'Space':
    """The derived network: only the chosen op and width in every slot.

    Args:
      architecture: of this space, or of this space at another image size or
        number of classes (`resize`).

    Raises:
      InputError: the architecture has other choices than this space.

    Example:
      >>> from nasjax import space, spaces
      >>> tiny = spaces.tiny()
      >>> a = space.Architecture.from_indices(tiny, (0, 1, 2))
      >>> [slot.op_names for slot in tiny.fix(a).slots][1:4]
      [('mbconv_k3_e1',), ('mbconv_k3_e3',), ('skip',)]
    """
    index = dataclasses.replace(architecture, space=self).index
    space = at_pattern(self, index['pattern']) if self.patterns else self

    def fixed(slot):
      features = slot.features
      if isinstance(features, Width):
        features = features.options[index[features.name]]
      op = slot.ops[index.get(slot.name, 0)]
      return dataclasses.replace(slot, ops=(op,), features=features)

    return dataclasses.replace(space, slots=tuple(map(fixed, space.slots)))

  def tables(self, measure: Measure) -> tuple[Table, ...]:
    """Measures every block; returns a table for every slot.

    Args:
      measure: `measure(block, input shape) -> number`, such as
        `nasjax.cost.measure_macs`; blocks are `nasjax.space.OpBlock`s.

    Returns:
      Tables in the order of the chain. If patterns differ in a table, its first
      axis is the pattern.

    Raises:
      InputError: images are too small for the strides.
      ValueError: ops of one slot differ in the shape that leaves them.

    Example:
      >>> from nasjax import cost, spaces
      >>> [t.axes for t in spaces.tiny().tables(cost.measure_macs)][:2]
      [(), ('stage1_1',)]
    """
    check_image_size(self)
    each = [at_pattern(self, i) for i in range(len(self.patterns))]
    return chain_tables.stacked(each or [self], measure)


def at_pattern(space: Space, index: int) -> Space:
  """The space with one pattern chosen; the other choices stay open.

  Args:
    space: a space with patterns; without patterns it is returned unchanged.
    index: place of the pattern in `space.patterns`.

  Returns:
    A space without patterns, in which every stride is one number.

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


def as_chain(space: 'SearchSpace') -> Space:
  """The space itself, if it is a chain of slots.

  Raises:
    InputError: it is a space of another kind.

  Example:
    >>> from nasjax import spaces
    >>> as_chain(spaces.tiny()).name
    'tiny'
  """
  if not isinstance(space, Space):
    raise InputError(
      f'space {space.name!r} is no chain of slots; give a nasjax.space.Space'
    )
  return space


def check_image_size(space: 'SearchSpace') -> None:
  """Checks that images are large enough for the strides of a chain.

  Costs and networks call it. A space itself may be made with small images, so
  that its strides can be adapted first (`nasjax.zoo.small_images`).

  Raises:
    InputError: images are too small; the message has the smallest size.

  Example:
    >>> from nasjax import spaces
    >>> check_image_size(spaces.mobile_small(image_size=5))
  """
  if not isinstance(space, Space):
    return
  for i in range(max(1, len(space.patterns))):
    one = at_pattern(space, i) if space.patterns else space
    least = 1 + math.prod(slot.fixed_stride for slot in one.slots) // 2
    if one.image_size < least:
      raise InputError(
        f'images are {one.image_size} pixels high; {space.name!r} downsamples '
        f'so often that it takes at least {least}'
      )
