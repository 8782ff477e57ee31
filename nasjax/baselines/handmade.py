"""Networks of a space as one would make them without a search.

Blocks expand by 3 with a kernel of 3 throughout, and stages are as wide as each
other, relative to what they could be; there is one such network for every place
to downsample. What departs least from that and uses the budget is taken: a
block is skipped, a stage wider or narrower, or, where nothing else keeps the
budget, a block does not expand.
"""

from collections.abc import Mapping

import numpy as np

from nasjax import derive
from nasjax.cost import Cost
from nasjax.errors import InputError
from nasjax.ops import Op
from nasjax.space import Architecture, Space

EXPAND, KERNEL = 3, 3
_NEVER = -1e4  # Nats, for what is not to be in the network.
_SKIPPED = -1.0
_OTHER_WIDTH = -1.5  # For each step away: a stage less deep comes first.
_PLAIN = -10.0


def names_for(space: Space) -> tuple[str, ...]:
  """What there is to make: one network for every pattern of the space.

  Example:
    >>> from nasjax import spaces
    >>> names_for(spaces.tiny_macro()), names_for(spaces.tiny())
    (('early', 'late'), ('expand3',))
  """
  return space.patterns or (f'expand{EXPAND}',)


def within(
  space: Space, name: str, limits: Mapping[Cost, float], *, fill: float
) -> Architecture:
  """One of `names_for`, within limits.

  Args:
    space: the search space.
    name: which.
    limits: the largest cost allowed.
    fill: minimum fraction of at least one limit, 0 to 1, if possible.

  Raises:
    InputError: the space has no such blocks, or none within the limits.

  Example:
    >>> from nasjax import cost, spaces
    >>> small = spaces.mobile_macro_small()
    >>> macs = cost.macs(small)
    >>> a = within(small, 'late', {macs: 3e6}, fill=0.98)
    >>> dict(zip(small.choices, a.choice))['pattern']
    'late'
    >>> {c for c in a.choice if 'mbconv' in c}
    {'mbconv_k3_e3'}
  """
  most = max((len(s.features.options) for s in _wide(space)), default=1)
  each = [_scores(space, name, place) for place in range(most)]
  # What is larger than all of it would only be filled by other blocks.
  largest = _largest(space, each[-1])
  limits = {c: min(v, c.exact(largest)) for c, v in limits.items()}
  for share in (fill, 0.0):
    found = [
      (_sum(a, scores), a)
      for scores in each
      for a in [derive.within(space, scores, limits, fill=share)]
    ]
    best = max(found, key=lambda row: row[0])
    if best[0] > _NEVER:
      return best[1]
  raise InputError(
    f'{space.name} has no network whose blocks expand by {EXPAND} or not at '
    f'all, with a kernel of {KERNEL}'
  )


def _sum(a: Architecture, scores: Mapping[str, np.ndarray]) -> float:
  pairs = zip(a.space.choices, a.indices, strict=True)
  return float(sum(scores[name][i] for name, i in pairs))


def _largest(space: Space, scores: Mapping[str, np.ndarray]) -> Architecture:
  """The widest and deepest of these scores."""
  wide = {s.features.name for s in _wide(space)}
  return Architecture.from_indices(
    space,
    [
      len(options) - 1 if name in wide else scores[name].argmax()
      for name, options in space.choices.items()
    ],
  )


def _wide(space: Space) -> list:
  return [s for s in space.slots if not isinstance(s.features, int)]


def _scores(space: Space, name: str, place: int) -> dict[str, np.ndarray]:
  """Alphas that are high for what is wanted; `place` is of the widths."""
  slots = {slot.name: slot for slot in space.slots}
  scores = {}
  for choice, options in space.choices.items():
    if choice == 'pattern':
      scores[choice] = np.where(np.array(options) == name, 0.0, _NEVER)
    elif choice in slots:
      scores[choice] = np.array([_block(op) for op in slots[choice].ops])
    else:
      away = np.abs(np.arange(len(options)) - min(place, len(options) - 1))
      scores[choice] = _OTHER_WIDTH * away
  return scores


def _block(op: Op) -> float:
  if op.name == 'skip':
    return _SKIPPED
  if getattr(op, 'kernel', None) != KERNEL or getattr(op, 'se', 0):
    return _NEVER
  scores: dict[int | None, float] = {EXPAND: 0.0, 1: _PLAIN}
  return scores.get(getattr(op, 'expand', None), _NEVER)
