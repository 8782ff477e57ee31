"""The figure of a comparison: marks, budgets, and names apart."""

import numpy as np
import pytest
from matplotlib.text import Text

from nasjax import report
from nasjax.report import comparison
from tests.report.report_cases import ROWS, assert_png, row, texts


def test_comparison_has_a_mark_per_network_and_a_line_per_budget():
  figure = comparison._comparison(ROWS, x='macs', limited='macs', title=None)
  (axes,) = figure.axes
  points = {
    c.get_label(): {tuple(p) for p in c.get_offsets()} for c in axes.collections
  }
  tested = [r for r in ROWS if r['test_accuracy'] is not None]
  for r in tested:
    point = (r['macs'], 100 * r['test_accuracy'])
    assert point in points[r['kind'].replace('_', ' ')]
  assert sum(map(len, points.values())) == len(tested)
  upright = [
    line.get_xdata()[0]
    for line in axes.lines
    if list(line.get_ydata()) == [0, 1]
  ]
  assert upright == [1e6, 2e6]
  assert {'budget\n1.00M', 'budget\n2.00M'} <= set(texts(figure))
  assert axes.get_xscale() == 'log'


def test_comparison_joins_the_means_of_the_searched():
  figure = comparison._comparison(ROWS, x='macs', limited='macs', title=None)
  (line,) = (
    x for x in figure.axes[0].lines if x.get_label() == 'mean of searched'
  )
  np.testing.assert_allclose(
    line.get_xydata(), [((987_654 + 876_543) / 2, 84), (1_999_000, 90)]
  )


def test_comparison_names_single_networks_and_not_repeats():
  written = texts(
    comparison._comparison(ROWS, x='macs', limited='macs', title='over all')
  )
  assert {'late', 'r', 'free', 'over all'} <= set(written)
  assert not {'a', 'b', 'too big'} & set(written)


def test_comparison_keeps_names_apart():
  rows = [
    row(f'network_{i}', f'kind_{i}', 1_000_000 + 9000 * i, 0.8, None)
    for i in range(6)
  ]
  figure = comparison._comparison(rows, x='macs', limited='macs', title=None)
  (axes,) = figure.axes
  assert axes.get_xscale() == 'linear'
  renderer = figure.canvas.get_renderer()
  figure.draw_without_rendering()
  # Of the names alone, without their leaders.
  boxes = [Text.get_window_extent(t, renderer) for t in axes.texts]
  assert boxes
  for i, box in enumerate(boxes):
    assert not any(box.padded(-2).overlaps(b) for b in boxes[i + 1 :])


def test_comparison_draws_limits_only_over_what_they_limit():
  figure = comparison._comparison(ROWS, x='params', limited='macs', title=None)
  assert not any('budget' in t for t in texts(figure))
  assert figure.axes[0].get_xlabel() == 'parameters'


@pytest.mark.quick_every(3)
@pytest.mark.parametrize('rows', [[], ROWS[:1], ROWS])
@pytest.mark.parametrize('x', ['macs', 'params'])
def test_comparison_figure_is_written(tmp_path, rows, x):
  assert_png(report.comparison_figure(tmp_path / 'c.png', rows, x=x))
