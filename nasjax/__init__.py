"""Small image classifiers within a hard resource budget, found by gradient.

Every room is a module, loaded when it is first named:

Example:
  >>> import nasjax
  >>> nasjax.cost.macs(nasjax.spaces.mobile_small()).bounds()
  (251984, 4840624)
"""

import importlib
import pkgutil

__version__ = '0.1.0'

_ROOMS = frozenset(room.name for room in pkgutil.iter_modules(__path__))


def __getattr__(name: str):
  # Not all at once: who counts a network need not wait for matplotlib.
  if name not in _ROOMS:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  return importlib.import_module(f'{__name__}.{name}')


def __dir__() -> list[str]:
  return sorted({*globals(), *_ROOMS})
