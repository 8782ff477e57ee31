"""Published networks at the width that a budget allows."""

import bisect
import inspect
from collections.abc import Callable

from experiments import names
from nasjax.cost import Cost
from nasjax.errors import InputError
from nasjax.space import Space

# What its paper gives some widths for; of all others hundredths are tried.
_WIDTHS = {'shufflenet_v2': (0.5, 1.0, 1.5, 2.0)}
_HUNDREDTHS = tuple(i / 100 for i in range(1, 401))


def within(
  name: str,
  like: Space,
  cost: Callable[[Space], Cost],
  budget: float,
  smallest: int = 2,
) -> Space:
  """The widest that keeps a budget, by the rules of `names.for_images`.

  Args:
    name: a key of `names.NETWORKS`.
    like: for images and classes of this space.
    cost: what is limited.
    budget: the most that it may be.
    smallest: as of `names.for_images`.

  Raises:
    InputError: there is no such network, or none of its widths is within.
  """

  def network(width: float) -> Space:
    return names.for_images(
      name,
      width,
      image_size=like.image_size,
      channels=like.channels,
      num_classes=like.num_classes,
      smallest=smallest,
    )

  def price(width: float) -> float:
    return cost(network(width)).constant

  widths = widths_of(name)
  # Costs grow with the width, so bisection finds the first one beyond.
  beyond = bisect.bisect_right(widths, budget, key=price)
  if beyond == 0:
    least = cost(network(widths[0]))
    raise InputError(
      f'{name} has no width within {budget:.15g} {least.unit}; the smallest '
      f'needs {least.constant}'
    )
  return network(widths[beyond - 1])


def widths_of(name: str) -> tuple[float, ...]:
  """The widths that a published network can have, the smallest first.

  Raises:
    InputError: there is no such network.
  """
  names.network(name)
  if 'width' not in inspect.signature(names.NETWORKS[name]).parameters:
    return (1.0,)
  return _WIDTHS.get(name, _HUNDREDTHS)
