"""Whole runs from Python: what a script does, in one call.

Example:
  >>> import nasjax as nj
  >>> dataset = nj.data.load('fashion_mnist_5k')
  >>> space = nj.spaces.tiny(**dataset.sizes)
  >>> found = nj.run.search(
  ...   space, dataset, limits={nj.cost.macs(space): 90_000}, steps=4,
  ...   warmup_steps=2, progress=False)
  >>> found.network.name
  'tiny'

Without a workdir nothing is written. With one the run is resumable, bit for
bit, and holds the files of the scripts.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from nasjax.run.config import Recipe, SearchConfig
  from nasjax.run.finished import load
  from nasjax.run.found import Found
  from nasjax.run.searching import search
  from nasjax.run.train_network import train_network as train
  from nasjax.run.trained import Trained

_PLACES = {
  'Found': ('found', 'Found'),
  'Recipe': ('config', 'Recipe'),
  'SearchConfig': ('config', 'SearchConfig'),
  'Trained': ('trained', 'Trained'),
  'load': ('finished', 'load'),
  'search': ('searching', 'search'),
  'train': ('train_network', 'train_network'),
}

__all__ = [
  'Found',
  'Recipe',
  'SearchConfig',
  'Trained',
  'load',
  'search',
  'train',
]


def __getattr__(name: str) -> Any:
  # Lazily: whoever waits for a signal need not wait for JAX.
  if name not in _PLACES:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  module, attribute = _PLACES[name]
  return getattr(importlib.import_module(f'{__name__}.{module}'), attribute)


def __dir__() -> list[str]:
  return sorted({*globals(), *__all__})
