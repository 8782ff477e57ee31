"""Figures of a search: probabilities, costs, limits and losses."""

import dataclasses

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from nasjax import cost, report, spaces
from nasjax.report import search
from nasjax.space import Choice
from tests.report.report_cases import NETWORKS, TINY, assert_png, lines, texts

MACS, PARAMS = cost.macs(TINY), cost.params(TINY)


def metrics(count, warmup, space=TINY):
  """Rows in which the first option wins everywhere."""
  rows = []
  for i in range(1, count + 1):
    p = {name: len(options) for name, options in space.choices.items()}
    first = 0.5 + 0.4 * i / count
    probs = {
      s: [first] + [(1 - first) / (n - 1)] * (n - 1) for s, n in p.items()
    }
    r = {'step': 10 * i, 'train_loss': 2 / i, 'probs': probs}
    if i > warmup:
      r |= {
        'valid_loss': 3 / i,
        'macs': 9000.0 - i,
        'macs_strict': 8000.0 - i,
        'params': 900.0,
        'params_strict': 800.0,
      }
    rows.append(r)
  return rows


def test_alphas_draws_the_probability_of_every_op_of_every_slot():
  rows = metrics(6, 2)
  figure = search.draw_alphas(rows, TINY)
  panels = {a.get_title('left').split(':')[0]: a for a in figure.axes}
  assert list(panels) == list(TINY.choices)
  for slot, names in TINY.choices.items():
    assert len(panels[slot].lines) == len(names)
    for i, line in enumerate(panels[slot].lines):
      np.testing.assert_array_equal(line.get_xdata(), range(10, 70, 10))
      want = [r['probs'][slot][i] for r in rows]
      np.testing.assert_array_equal(line.get_ydata(), want)
    assert panels[slot].get_title('left') == f'{slot}: 3x3, expand 1'


@pytest.mark.parametrize(
  ('space', 'choice', 'options'),
  [
    (spaces.mobile_width_small(), 'stage2_width', None),
    (spaces.tiny_macro(), 'pattern', ['early', 'late']),
  ],
)
def test_alphas_draws_widths_and_patterns_with_a_legend_of_their_own(
  space, choice, options
):
  options = options or list(space.choices[choice])
  rows = metrics(6, 2, space)
  figure = search.draw_alphas(rows, space)
  panels = {a.get_title('left').split(':')[0]: a for a in figure.axes}
  panel = panels[choice]
  assert panel.get_title('left') == f'{choice}: {options[0]}'
  legend = panel.get_legend()
  assert [t.get_text() for t in legend.get_texts()] == options
  colours = {to_rgb(line.get_color()) for line in panel.lines}
  assert len(colours) == len(options)
  for i, line in enumerate(panel.lines):
    want = [r['probs'][choice][i] for r in rows]
    np.testing.assert_array_equal(line.get_ydata(), want)
  (shared,) = figure.legends
  assert not set(options) & {t.get_text() for t in shared.get_texts()}


def test_alphas_has_one_legend_in_the_colours_of_the_panels():
  figure = search.draw_alphas(metrics(6, 2), TINY)
  (legend,) = figure.legends
  names = [t.get_text() for t in legend.get_texts()]
  assert names == ['3x3, expand 1', '3x3, expand 3', 'skip', 'warm-up']
  for axes in figure.axes:
    for line, key in zip(axes.lines, legend.legend_handles, strict=False):
      assert to_rgb(line.get_color()) == to_rgb(key.get_color())


def test_alphas_names_no_winner_of_a_tie():
  rows = [{'step': 1, 'probs': {'stage1_1': [0.5, 0.5]}}]
  figure = search.draw_alphas(rows, TINY)
  assert figure.axes[0].get_title('left') == 'stage1_1'


def test_cost_draws_both_costs_against_the_limit_and_the_losses():
  figure = search.draw_costs(metrics(6, 2), {MACS: 8500, PARAMS: 850})
  macs, params, losses = figure.axes
  for axes, limit in ((macs, 8500), (params, 850)):
    assert set(lines(axes)) == {
      'expected',
      'most probable ops',
      f'limit {report.si(limit)}',
    }
    assert set(lines(axes)[f'limit {report.si(limit)}'][:, 1]) == {limit}
  np.testing.assert_array_equal(
    lines(macs)['expected'], [(10 * i, 9000 - i) for i in range(3, 7)]
  )
  np.testing.assert_array_equal(
    lines(macs)['most probable ops'], [(10 * i, 8000 - i) for i in range(3, 7)]
  )
  assert len(lines(losses)['weights, on train']) == 6
  assert len(lines(losses)['alphas, on valid']) == 4
  for axes in figure.axes:
    (shade,) = axes.patches
    assert (shade.get_x(), shade.get_width()) == (0, 20)


def test_cost_shows_costs_that_have_a_price_and_no_limit():
  figure = search.draw_costs(metrics(3, 1), {})
  titles = [a.get_title('left') for a in figure.axes]
  assert titles[:2] == ['Cost in MACs', 'Cost in parameters']


def test_cost_says_that_a_warmup_has_measured_nothing():
  figure = search.draw_costs(metrics(3, 3), {MACS: 8500})
  assert any('not measured' in t for t in texts(figure))
  assert list(lines(figure.axes[0])) == ['limit 8.50k']


@pytest.mark.quick_every(4)
@pytest.mark.parametrize('limits', [{}, {MACS: 8500.0}])
@pytest.mark.parametrize(
  'rows', [[], metrics(1, 0), metrics(1, 1), metrics(3, 3), metrics(30, 10)]
)
def test_search_figures_are_written_whatever_is_known(tmp_path, rows, limits):
  paths = report.search_figures(tmp_path, rows, TINY, limits)
  assert [p.name for p in paths] == ['alphas.png', 'cost.png']
  for path in paths:
    assert_png(path)


def test_search_figures_of_a_space_without_choices(tmp_path):
  alphas, _ = report.search_figures(tmp_path, [], NETWORKS[0], {})
  assert_png(alphas)


def test_alphas_draws_each_choice_of_a_shape_with_one_legend():
  grid = dataclasses.make_dataclass('Grid', [('name', str), ('choices', dict)])
  choices = {
    'edge': Choice(('conv', 'skip'), shape=(2, 1)),
    'size': Choice(('small', 'large')),
  }
  probs = [[[0.25, 0.75]], [[0.5, 0.5]]]
  rows = [
    {'step': i, 'valid_loss': 1.0, 'probs': {'edge': probs, 'size': [1, 0]}}
    for i in (1, 2)
  ]
  figure = search.draw_alphas(rows, grid('grid', choices))
  titles = [axes.get_title('left') for axes in figure.axes if axes.lines]
  assert titles == ['edge[0, 0]: skip', 'edge[1, 0]', 'size: small']
  first, second, size = (axes for axes in figure.axes if axes.lines)
  for axes, wanted in ((first, [0.25, 0.75]), (second, [0.5, 0.5])):
    for line, p in zip(axes.lines, wanted, strict=True):
      np.testing.assert_array_equal(line.get_ydata(), [p, p])
    assert axes.get_legend() is None
  own = [t.get_text() for t in size.get_legend().get_texts()]
  assert own == ['small', 'large']
  (shared,) = figure.legends
  assert [t.get_text() for t in shared.get_texts()] == ['conv', 'skip']


def test_a_long_warm_up_leaves_alphas_their_room():
  """Panels of alphas and costs begin where alphas were first trained."""
  tiny = spaces.tiny()
  macs = cost.macs(tiny)

  def rows(warmup, last):
    probs = {name: [1 / len(c)] * len(c) for name, c in tiny.choices.items()}
    learnt = {'valid_loss': 1.0, 'macs': 5e3, 'macs_strict': 6e3}
    return [{'step': i, 'train_loss': 2.0} for i in range(1, warmup + 1)] + [
      {'step': i, 'probs': probs, **learnt} for i in range(warmup + 1, last + 1)
    ]

  for warmup, first in ((90, 90), (50, 0)):
    own = rows(warmup, 100)
    alphas = search.draw_alphas(own, tiny)
    panels = [axes for axes in alphas.axes if axes.axison]
    assert {axes.get_xlim()[0] for axes in panels} == {first}
    costs, losses = search.draw_costs(own, {macs: 6000}).axes
    assert costs.get_xlim()[0] == first
    assert losses.get_xlim()[0] == 0
  # While there are only warm-up steps, they are shown.
  for axes in search.draw_costs(rows(90, 90), {macs: 6000}).axes:
    assert axes.get_xlim()[0] == 0
