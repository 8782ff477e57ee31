"""Figures of a sweep: what is drawn is what is known."""

import math

import numpy as np
import pytest

from nasjax.report import canvas, gallery, intervals, sweep
from nasjax.report.sweep import Mark
from tests.report.sweep_figure_cases import drawn_networks

MARKS = [
  Mark('zoo', 'net_a', 9e5, 0.80, 0.79, 0.81),
  Mark('zoo', 'net_b', 8e5, 0.82, 0.80, 0.84, chosen=True),
  Mark('random', 'random', 1e6, 0.83, 0.82, 0.84, [(9e5, 0.82), (1e6, 0.84)]),
  Mark('searched', 'searched', 1e6, 0.85, members=[(1e6, 0.85)]),
  Mark('searched', 'searched', 2e6, 0.86, 0.1, 1.6, [(2e6, 0.86)]),
]


def _points(axes):
  return [tuple(p) for c in axes.collections for p in c.get_offsets()]


def test_every_mark_member_and_interval_is_drawn():
  figure = sweep._accuracy(MARKS, 'macs', [1e6, 2e6])
  (axes,) = figure.axes
  points = _points(axes)
  for mark in MARKS:
    assert (mark.x, pytest.approx(100 * mark.mean)) in points
    for x, accuracy in mark.members:
      assert (x, pytest.approx(100 * accuracy)) in points
  bars = [line for line in axes.lines if len(set(line.get_xdata())) == 1]
  found = [tuple(line.get_ydata()) for line in bars if line.get_alpha() == 0.75]
  known = [(100 * m.low, 100 * m.high) for m in MARKS if not math.isnan(m.low)]
  np.testing.assert_allclose(sorted(found), sorted(known))
  # An interval wider than the picture does not flatten it.
  low, high = axes.get_ylim()
  assert 75 < low < 80
  assert 86 < high < 95


def test_each_label_has_its_own_mark_and_each_kind_its_colour():
  styles = sweep._styles(MARKS)
  assert len(set(styles.values())) == len(styles) == 4
  assert styles['net_a'][0] == styles['net_b'][0] == canvas.VERMILION
  assert styles['searched'] == (canvas.BLUE, 'o')
  texts = [h.get_label() for h in sweep._legend(MARKS, styles)]
  assert texts[0] == 'searched'
  assert any('validation' in t for t in texts)


def test_seven_families_by_two_last_maps_can_be_told_apart():
  labels = [f'{f}_{px}px' for f in range(7) for px in (2, 4)]
  styles = sweep._styles([Mark('zoo', label, 1e6, 0.8) for label in labels])
  assert len(set(styles.values())) == 14
  # A polygon that is turned, or has a corner more, looks the same in print.
  markers = {marker for _, marker in styles.values()}
  assert len(markers & set('pHh8')) <= 1


def test_a_known_label_has_its_mark_whatever_else_is_drawn():
  known = [f'{f}_{px}px' for f in range(7) for px in (2, 4)]
  marks = [Mark('zoo', label, 1e6, 0.8) for label in known]
  every = sweep._styles(marks, known)
  few = [*marks[3:9:2], Mark('hand-made', 'a', 1e6, 0.8)]
  found = sweep._styles(few, known)
  assert [found[m.label] for m in few[:3]] == [every[m.label] for m in few[:3]]
  assert set(found) == {m.label for m in few}
  # Another one of that kind has a mark of its own.
  other = Mark('zoo', 'other', 1e6, 0.8)
  assert len(set(sweep._styles([*marks[1:], other], known[1:]).values())) == 14


def test_a_line_joins_the_searched_from_budget_to_budget():
  xs = [3e4, 2e4, 9e4]  # Parameters need not grow with the budget.
  found = [Mark('searched', 'searched', x, 0.8) for x in xs]
  axes = sweep._accuracy(found, 'params', []).axes[0]
  assert [tuple(line.get_xdata()) for line in axes.lines] == [tuple(xs)]


@pytest.mark.parametrize('limit', [8e5, 2e6])
def test_every_mark_is_within_the_figure(limit):
  found = [*MARKS, Mark('argmax', 'argmax', 5.2e5, 0.8)]
  axes = sweep._accuracy(found, 'macs', [limit]).axes[0]
  left, right = axes.get_xlim()
  seen = [m.x for m in found] + [p[0] for m in found for p in m.members]
  assert left < min(seen)
  assert max([*seen, limit]) < right


def test_only_differences_that_are_told_are_blue():
  found = [
    ('a', intervals.welch([0.9, 0.91, 0.92], [0.8, 0.81, 0.82]), True),
    ('b', intervals.welch([0.9, 0.91, 0.92], [0.9, 0.92, 0.91]), False),
    ('c', intervals.welch([0.9], [0.8, 0.81]), False),
    ('d', intervals.welch([0.1, 0.9], [0.5, 0.6]), False),
  ]
  (axes,) = sweep._differences(found).axes
  dots = [line for line in axes.lines if line.get_marker() == 'o']
  colours = [dot.get_color() for dot in dots]
  assert colours == [canvas.BLUE, *[canvas.GREY] * 3]
  texts = [t.get_text() for t in axes.texts]
  assert texts[0] == '+10.00 [+7.73, +12.27] (n = 3, 3)'
  assert 'no interval' in texts[2]
  assert dots[2].get_markerfacecolor() == 'white'
  bars = [x for x in axes.lines if len(set(x.get_xdata())) == 2]
  assert len(bars) == 3
  # The others can be seen beside an interval of 500 points.
  low, high = axes.get_xlim()
  assert -50 < low < -12.27
  assert 12.27 < high < 50


def test_ranks_has_a_point_per_network_and_says_the_correlation():
  found = [('searched', 0.3, 0.8), ('random', 0.2, 0.7), ('random', 0.1, 0.75)]
  c = intervals.spearman([f[1] for f in found], [f[2] for f in found])
  (axes,) = sweep._ranks(found, c).axes
  points = [
    (pytest.approx(100 * a), pytest.approx(100 * b)) for _, a, b in found
  ]
  assert sorted(_points(axes)) == sorted(points, key=lambda p: p[0].expected)
  assert '0.50 over 3' in axes.get_title(loc='left')


def test_figures_are_written(tmp_path):
  for name, draw in {
    'a': lambda p: sweep.accuracy_figure(p, MARKS, x='params'),
    'd': lambda p: sweep.differences_figure(
      p, [('x', intervals.welch([1.0], [2.0]), False)]
    ),
    'r': lambda p: sweep.ranks_figure(
      p, [('zoo', 0.1, 0.2)], intervals.spearman([1], [1])
    ),
    'g': lambda p: gallery.gallery_figure(
      p, [gallery.Picture(drawn_networks(1)[0], 'x')]
    ),
  }.items():
    path = tmp_path / f'{name}.png'
    assert draw(path) == path
    assert path.stat().st_size > 5000
  assert len(list(tmp_path.iterdir())) == 4
