"""Small image classifiers within a hard resource budget, found by gradient.

Every package is loaded when it is first named:

Example:
  >>> import nasjax
  >>> nasjax.cost.macs(nasjax.spaces.mobile_small()).bounds()
  (251984, 4840624)
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
  from nasjax import (
    baselines,
    constraint,
    cost,
    count,
    data,
    derive,
    errors,
    export,
    guard,
    latency,
    ops,
    relax,
    report,
    run,
    search,
    space,
    spaces,
    supernet,
    train,
    zoo,
  )

__version__ = '0.1.0'

__all__ = [
  'baselines',
  'constraint',
  'cost',
  'count',
  'data',
  'derive',
  'errors',
  'export',
  'guard',
  'latency',
  'ops',
  'relax',
  'report',
  'run',
  'search',
  'space',
  'spaces',
  'supernet',
  'train',
  'zoo',
]


def __getattr__(name: str) -> ModuleType:
  # Not all at once: who counts a network need not wait for matplotlib.
  if name not in __all__:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  return importlib.import_module(f'{__name__}.{name}')


def __dir__() -> list[str]:
  return sorted({*globals(), *__all__})
