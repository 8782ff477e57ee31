"""Which ops of a slot share weights in an entangled supernet."""

import dataclasses
from typing import NamedTuple

import numpy as np

from nasjax.ops import (
  Classifier,
  Conv,
  ConvClassifier,
  MaxPool,
  MBConv,
  Op,
  Skip,
)
from nasjax.space import Slot, Space, Width, at_pattern, channels
from nasjax.supernet.masks import Nest

# Extra input channels that are 0 do not change their output.
_OF_ANY_WIDTH = (Classifier, Conv, ConvClassifier, MaxPool, Skip)


class Path(NamedTuple):
  """Ops of a slot that are computed together, as one block.

  Attributes:
    places: indices of these ops in the slot.
    nest: their shared weights; None for a single op with its own weights.
  """

  places: tuple[int, ...]
  nest: Nest | None


def paths(slot: Slot, inputs: int | Width) -> tuple[Path, ...]:
  """The paths of a slot, in the order of their first ops.

  Args:
    slot: a slot of a space.
    inputs: features of the previous slot, or channels of the image.

  Returns:
    Each op of the slot is in one path.

  Example:
    >>> ops = MBConv(3, 3), MBConv(3, 6, 'relu'), MBConv(5, 6)
    >>> [path.places for path in paths(Slot('a', ops, 8), 8)]
    [(0, 2), (1,)]
  """
  together = {}
  for i, op in enumerate(slot.ops):
    key = _in_common(op, slot, inputs)
    together.setdefault(i if key is None else key, []).append(i)
  found = []
  for key, places in together.items():
    alone = len(places) == 1 and not _varies(slot, inputs)
    nest = None
    if isinstance(key, MBConv) and not alone:
      ops = (slot.ops[i] for i in places)
      same = tuple(op for op in ops if isinstance(op, MBConv))
      nest = Nest(same, channels(inputs))
    found.append(Path(tuple(places), nest))
  return tuple(found)


def _varies(slot: Slot, inputs: int | Width) -> bool:
  return isinstance(inputs, Width) or isinstance(slot.features, Width)


def _in_common(op: Op, slot: Slot, inputs: int | Width) -> MBConv | None:
  """A key that is equal for ops that can share weights; else None."""
  # A subclass may have another module.
  if type(op) is not MBConv:
    return None
  # With kernels below the stride, `SAME` padding does not align their centres.
  if op.kernel < max(2, np.max(slot.stride)):
    return None
  if op.groups == 1:
    return dataclasses.replace(op, kernel=3, expand=1, mid=None)
  # The groups depend on the width, so the first channels are not whole groups.
  return None if _varies(slot, inputs) else dataclasses.replace(op, kernel=3)


def unentangled(space: Space) -> dict[str, tuple[str, ...]]:
  """The ops that share no weights in an entangled supernet, by slot.

  They cost an extra block in a slot with several ops. Where a width is a
  choice, they see all channels of the largest width even at one-hot, so the
  supernet does not compute the derived network.

  Args:
    space: a chain, with or without patterns.

  Returns:
    Slot to names of such ops, for the slots that have any.

  Example:
    >>> from nasjax import spaces
    >>> unentangled(spaces.mobile_small())
    {}
    >>> mixed = spaces.mobile(
    ...   [spaces.Stage(8, 1)], image_size=8, num_classes=2, stem=8, head=8,
    ...   stem_stride=1, candidates=(*spaces.CANDIDATES, MBConv(3, 3, 'relu')))
    >>> unentangled(mixed)
    {'stage1_1': ('mbconv_k3_e3_relu',)}
  """
  each = [at_pattern(space, i) for i in range(len(space.patterns))]
  found: dict[str, tuple[str, ...]] = {}
  for one in each or [space]:
    for slot, names in _unentangled(one).items():
      found[slot] = tuple(dict.fromkeys((*found.get(slot, ()), *names)))
  return found


def _unentangled(space: Space) -> dict[str, tuple[str, ...]]:
  """The ops that share no weights, by slot, of a space without patterns."""
  found = {}
  for slot, inputs in _places(space):
    known = paths(slot, inputs)
    alone = [slot.ops[path.places[0]] for path in known if path.nest is None]
    inexact = _varies(slot, inputs)
    several = _computed(slot, known) > 1
    names = tuple(
      op.name
      for op in alone
      if (several and not isinstance(op, Skip))
      or (inexact and type(op) not in _OF_ANY_WIDTH)
    )
    if names:
      found[slot.name] = names
  return found


def blocks(space: Space) -> dict[str, int]:
  """Number of blocks that are computed in a slot, if there are several.

  Skips do not count.

  Args:
    space: a chain without patterns.

  Returns:
    Slot to number of blocks, for the slots with more than one.

  Example:
    >>> from nasjax import spaces
    >>> blocks(spaces.proxylessnas())
    {}
    >>> blocks(spaces.mobilenet_v3())['stage2_1']  # by activation and squeeze
    4
  """
  each = {s.name: _computed(s, paths(s, i)) for s, i in _places(space)}
  return {name: number for name, number in each.items() if number > 1}


def _places(space):
  """Each slot with the features that come in."""
  inputs = space.channels
  for slot in space.slots:
    yield slot, inputs
    inputs = slot.features


def _computed(slot, known):
  ops = [slot.ops[path.places[0]] for path in known]
  return sum(not isinstance(op, Skip) for op in ops)
