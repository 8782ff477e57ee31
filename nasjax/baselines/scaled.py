"""Published networks at the width that a budget allows."""

import bisect
import inspect
from collections.abc import Callable

from nasjax import zoo
from nasjax.baselines.adapted import SMALL_IMAGES, for_images
from nasjax.cost import Cost
from nasjax.errors import InputError
from nasjax.space import Space

# What its paper gives some widths for; of all others hundredths are tried.
_WIDTHS = {zoo.shufflenet_v2: (0.5, 1.0, 1.5, 2.0)}
_HUNDREDTHS = tuple(i / 100 for i in range(1, 401))
# Of the widths of channels on small images: finer ones where coarser ones leave
# more of the budget than this.
DIVISORS = 4, 2
UNUSED = 0.02


def within(
  make: Callable[..., Space],
  like: Space,
  cost: Callable[[Space], Cost],
  budget: float,
  smallest: int = 2,
) -> Space:
  """The widest that keeps a budget, by the rules of `for_images`.

  Args:
    make: a function of `nasjax.zoo`.
    like: for images and classes of this space.
    cost: what is limited.
    budget: the most that it may be.
    smallest: see `nasjax.baselines.adapted.for_images`.

  Raises:
    InputError: none of its widths is within.

  Example:
    >>> from nasjax import cost, spaces
    >>> network = within(
    ...   zoo.mobilenet_v2, spaces.mobile_small(), cost.macs, 2_000_000)
    >>> network.name, cost.macs(network).constant
    ('mobilenet_v2@0.27_small_images', 1890240)
  """

  def network(width: float, divisor: int) -> Space:
    return for_images(
      make,
      width,
      image_size=like.image_size,
      channels=like.channels,
      num_classes=like.num_classes,
      smallest=smallest,
      divisor=divisor,
    )

  widths = widths_of(make, like.image_size)
  small = like.image_size < SMALL_IMAGES
  found: list[tuple[float, Space]] = []
  for divisor in DIVISORS if small else DIVISORS[:1]:
    price = lambda w, d=divisor: cost(network(w, d)).constant  # noqa: E731
    # Costs grow with the width, so bisection finds the first one beyond.
    beyond = bisect.bisect_right(widths, budget, key=price)
    if beyond:
      one = network(widths[beyond - 1], divisor)
      found.append((price(widths[beyond - 1]), one))
      if found[-1][0] >= (1 - UNUSED) * budget:
        break
  if not found:
    least = cost(network(widths[0], divisor))
    raise InputError(
      f'{make.__name__} has no width within {budget:.15g} {least.unit}; the '
      f'smallest needs {least.constant}'
    )
  return max(found, key=lambda pair: pair[0])[1]


def widths_of(make: Callable[..., Space], image_size: int) -> tuple[float, ...]:
  """The widths that a published network can have, the smallest first.

  Small images are none that it was published for, so that its authors' widths
  do not bind there.
  """
  if image_size < SMALL_IMAGES and _scales(make):
    return _HUNDREDTHS
  if 'width' not in inspect.signature(make).parameters:
    return (1.0,)
  return _WIDTHS.get(make, _HUNDREDTHS)


def _scales(make: Callable[..., Space]) -> bool:
  if 'rule' in inspect.signature(make).parameters:
    return True
  try:
    zoo.scale_widths(make(), 1.0)
  except ValueError:
    return False
  return True
