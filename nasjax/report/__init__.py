"""Figures and tables: what a search did, what it found, how that compares.

Figures are drawn with matplotlib's objects alone, so nothing here needs a
display or touches another's `pyplot` state. matplotlib is loaded when a figure
is first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

from nasjax.errors import InputError
from nasjax.report.numbers import Spread, si, spread

if TYPE_CHECKING:
  from nasjax.report.architecture import architecture_figure, draw_network
  from nasjax.report.comparison import comparison_figure
  from nasjax.report.gallery import gallery_figure
  from nasjax.report.search import draw_alphas, draw_costs, search_figures
  from nasjax.report.sweep import (
    accuracy_figure,
    differences_figure,
    ranks_figure,
  )
  from nasjax.report.table import comparison_table

_PLACES = {
  'accuracy_figure': 'sweep',
  'architecture_figure': 'architecture',
  'comparison_figure': 'comparison',
  'comparison_table': 'table',
  'differences_figure': 'sweep',
  'draw_alphas': 'search',
  'draw_costs': 'search',
  'draw_network': 'architecture',
  'gallery_figure': 'gallery',
  'ranks_figure': 'sweep',
  'search_figures': 'search',
}

__all__ = [
  'Spread',
  'accuracy_figure',
  'architecture_figure',
  'comparison_figure',
  'comparison_table',
  'differences_figure',
  'draw_alphas',
  'draw_costs',
  'draw_network',
  'gallery_figure',
  'ranks_figure',
  'search_figures',
  'si',
  'spread',
]


def __getattr__(name: str) -> Any:
  if name not in _PLACES:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  try:
    module = importlib.import_module(f'{__name__}.{_PLACES[name]}')
  except ModuleNotFoundError as e:
    if (e.name or '').partition('.')[0] != 'matplotlib':
      raise
    raise InputError(
      'figures need matplotlib, which is not installed: pip install matplotlib'
    ) from e
  return getattr(module, name)


def __dir__() -> list[str]:
  return sorted({*globals(), *__all__})
