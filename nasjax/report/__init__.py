"""Figures and tables: what a search did, what it found, how that compares.

Figures are drawn with matplotlib's objects alone, so nothing here needs a
display or touches another's `pyplot` state.
"""

from nasjax.report.architecture import (
  architecture_figure as architecture_figure,
)
from nasjax.report.comparison import comparison_figure as comparison_figure
from nasjax.report.gallery import gallery_figure as gallery_figure
from nasjax.report.numbers import Spread as Spread
from nasjax.report.numbers import si as si
from nasjax.report.numbers import spread as spread
from nasjax.report.search import search_figures as search_figures
from nasjax.report.sweep import accuracy_figure as accuracy_figure
from nasjax.report.sweep import differences_figure as differences_figure
from nasjax.report.sweep import ranks_figure as ranks_figure
from nasjax.report.table import comparison_table as comparison_table
