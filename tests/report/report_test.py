"""Tables hold the exact numbers; figures show what they claim to show."""

import dataclasses
import math
import re

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from matplotlib.text import Text

from nasjax import cost, report, spaces, zoo
from nasjax.ops import Classifier, Conv, MBConv, Skip
from nasjax.report import architecture, canvas, comparison, search
from nasjax.space import Architecture, fix

TINY = spaces.tiny()
CHOSEN = Architecture(TINY, ('mbconv_k3_e1', 'mbconv_k3_e3', 'skip'))
NETWORKS = [
  fix(TINY, CHOSEN),
  zoo.mobilenet_v2(),
  zoo.mobilenet_v2(width=0.5, image_size=28, channels=1, num_classes=10),
]


def texts(figure):
  """All that is written in a figure, axes and legends included."""
  found = figure.findobj(lambda a: hasattr(a, 'get_text'))
  return [a.get_text() for a in found if a.get_text()]


def assert_png(path):
  assert path.stat().st_size > 3000
  pixels = imread(path)
  assert min(pixels.shape[:2]) > 200
  assert pixels[..., :3].std() > 0.01  # Not blank.
  assert not list(path.parent.glob('*.part'))


# --- Numbers -----------------------------------------------------------------


@pytest.mark.parametrize(
  ('number', 'text'),
  [
    (0, '0'),
    (7, '7'),
    (950, '950'),
    (999, '999'),
    (999.6, '1.00k'),
    (1000, '1.00k'),
    (9996, '10.0k'),
    (38046, '38.0k'),
    (99_960, '100k'),
    (999_499, '999k'),
    (999_500, '1.00M'),
    (1_600_000, '1.60M'),
    (300_774_272, '301M'),
    (5e9, '5.00G'),
    (-38046, '-38.0k'),
    (0.25, '0.25'),
    (math.inf, 'inf'),
  ],
)
def test_si_has_three_significant_digits(number, text):
  assert report.si(number) == text


def test_si_is_within_half_a_unit_of_the_third_digit():
  factors = {'k': 1e3, 'M': 1e6, 'G': 1e9}
  for number in np.random.default_rng(0).uniform(3, 12, 200):
    number = 10**number
    text = report.si(number)
    if text[-1] in factors:
      assert float(text[:-1]) * factors[text[-1]] == pytest.approx(
        number, rel=5.1e-3
      )


def test_spread_is_the_closed_form():
  got = report.spread([1.0, 2.0, 6.0])
  assert got.mean == 3
  assert got.std == pytest.approx(math.sqrt((4 + 1 + 9) / 2))
  assert (got.low, got.high, got.n) == (1, 6, 3)


def test_spread_of_one_value_has_no_deviation_and_of_none_is_an_error():
  assert math.isnan(report.spread([5]).std)
  with pytest.raises(ValueError, match='at least one value'):
    report.spread([])


# --- Table -------------------------------------------------------------------


def row(name, kind, macs, accuracy, limit, params=12_345):
  return {
    'name': name,
    'kind': kind,
    'macs': macs,
    'params': params,
    'test_accuracy': accuracy,
    'limit': limit,
  }


ROWS = [
  row('late', 'searched', 1_999_000, 0.9, 2e6),
  row('b', 'searched', 987_654, 0.85, 1e6),
  row('a', 'searched', 876_543, 0.83, 1e6),
  row('r', 'random', 500_001, 0.8, 1e6),
  row('too big', 'random', 2_100_000, None, 2e6),
  row('free', 'MobileNetV2', 1_234_567, 0.8765, None),
]


def test_table_has_the_exact_numbers_of_each_network():
  lines = report.comparison_table(ROWS).splitlines()
  for r in ROWS:
    (line,) = (x for x in lines if x.startswith(f'| {r["name"]} |'))
    cells = [c.strip() for c in line.strip('|').split('|')]
    assert cells[1] == r['kind']
    assert int(cells[2].replace(',', '')) == r['macs']
    assert int(cells[4].replace(',', '')) == r['params']
    if r['limit']:
      used = float(cells[3].split(' %')[0])
      assert used == pytest.approx(100 * r['macs'] / r['limit'], abs=0.05)
      assert ('(over)' in cells[3]) == (r['macs'] > r['limit'])
    if r['test_accuracy'] is None:
      assert cells[5] == 'not measured'
    else:
      assert float(cells[5]) == pytest.approx(100 * r['test_accuracy'])


def test_table_is_sorted_by_limit_kind_and_name():
  table = report.comparison_table(reversed(ROWS))
  first = re.findall(r'^\| (?!network)([\w ]+) \|', table, re.MULTILINE)
  assert first == ['r', 'a', 'b', 'too big', 'late', 'free']
  budgets = re.findall('^### (.*)$', table, re.MULTILINE)
  assert budgets == [
    'Budget: 1,000,000 MACs',
    'Budget: 2,000,000 MACs',
    'Without a budget',
  ]


def test_table_summarises_repeats_and_nothing_else():
  lines = report.comparison_table(ROWS).splitlines()
  assert [x for x in lines if x.startswith('- ')] == [
    '- searched: mean 84.00 %, standard deviation 1.41, 83.00 to 85.00, n = 2'
  ]


def test_table_speaks_of_the_limited_resource():
  rows = [row('a', 'searched', 1, 0.5, 2e4, params=15_000)]
  table = report.comparison_table(rows, limited='params')
  assert '20,000 parameters' in table
  assert '75.0 %' in table


def test_table_survives_a_bar_in_a_name():
  rows = [row('a|b', 'searched', 1, 0.5, None)]
  assert r'| a\|b | searched |' in report.comparison_table(rows)


# --- Architecture ------------------------------------------------------------


@pytest.mark.parametrize('space', NETWORKS, ids=lambda s: s.name)
def test_architecture_shows_macs_that_sum_to_the_cost(space):
  figure = architecture._architecture(space)
  numbers = [t for t in texts(figure) if re.fullmatch(r'[\d,]+', t)]
  shown = [int(t.replace(',', '')) for t in numbers]
  macs = [b.macs for b in architecture.blocks(space)]
  assert sum(macs) == cost.macs(space).constant
  for value in set(macs):
    assert shown.count(value) >= macs.count(value)
  params = cost.params(space).constant
  assert f'{sum(macs):,} MACs, {params:,} parameters' in texts(figure)


@pytest.mark.parametrize('space', NETWORKS, ids=lambda s: s.name)
def test_architecture_marks_each_reduction_and_each_resolution(space):
  written = texts(architecture._architecture(space))
  strides = [s.stride for s in space.slots if s.stride > 1]
  marks = [t for t in written if t.startswith('\N{DOWNWARDS ARROW}')]
  assert [int(t[1:]) for t in marks] == strides
  size, sizes = space.image_size, [space.image_size]
  for stride in strides:
    size = -(-size // stride)
    sizes.append(size)
  if sizes[-1] != 1:
    sizes.append(1)  # The classifier pools.
  pixels = [t for t in written if re.fullmatch(r'\d+x\d+', t)]
  assert pixels == [f'{s}x{s}' for s in sizes]


def test_architecture_says_each_op_and_width():
  space = fix(TINY, CHOSEN)
  written = texts(architecture._architecture(space, 'a title'))
  for slot in space.slots:
    assert slot.name in written
    assert canvas.words(slot.ops[0]) in written
    assert str(slot.features) in written
  assert 'a title' in written


def test_architecture_keeps_its_texts_apart_and_inside():
  space = dataclasses.replace(zoo.mobilenet_v2(), name='n' * 40)
  long = dataclasses.replace(space.slots[0], name='a_slot_with_a_long_name')
  space = dataclasses.replace(space, slots=(long, *space.slots[1:]))
  figure = architecture._architecture(space)
  renderer = figure.canvas.get_renderer()
  drawn = [t for t in figure.axes[0].texts if t.get_text()]
  boxes = [t.get_window_extent(renderer) for t in drawn]
  for i, box in enumerate(boxes):
    assert figure.bbox.x0 <= box.x0
    assert box.x1 <= figure.bbox.x1
    assert not any(box.padded(-1).overlaps(other) for other in boxes[i + 1 :])


def test_architecture_figure_takes_both_forms_and_writes_the_same(tmp_path):
  a = report.architecture_figure(tmp_path / 'a.png', CHOSEN, title='t')
  b = report.architecture_figure(tmp_path / 'b.png', NETWORKS[0], title='t')
  assert_png(a)
  np.testing.assert_array_equal(imread(a), imread(b))


def test_architecture_figure_refuses_a_space_with_choices(tmp_path):
  with pytest.raises(ValueError, match='stage2_2 leave a choice'):
    report.architecture_figure(tmp_path / 'a.png', TINY)
  assert not list(tmp_path.iterdir())


# --- Search ------------------------------------------------------------------

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


def lines(axes):
  return {line.get_label(): line.get_xydata() for line in axes.lines}


def test_alphas_draws_the_probability_of_every_op_of_every_slot():
  rows = metrics(6, 2)
  figure = search._alphas(rows, TINY)
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
  figure = search._alphas(rows, space)
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
  figure = search._alphas(metrics(6, 2), TINY)
  (legend,) = figure.legends
  names = [t.get_text() for t in legend.get_texts()]
  assert names == ['3x3, expand 1', '3x3, expand 3', 'skip', 'warm-up']
  for axes in figure.axes:
    for line, key in zip(axes.lines, legend.legend_handles, strict=False):
      assert to_rgb(line.get_color()) == to_rgb(key.get_color())


def test_alphas_names_no_winner_of_a_tie():
  rows = [{'step': 1, 'probs': {'stage1_1': [0.5, 0.5]}}]
  figure = search._alphas(rows, TINY)
  assert figure.axes[0].get_title('left') == 'stage1_1'


def test_cost_draws_both_costs_against_the_limit_and_the_losses():
  figure = search._costs(metrics(6, 2), {MACS: 8500, PARAMS: 850})
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
  figure = search._costs(metrics(3, 1), {})
  titles = [a.get_title('left') for a in figure.axes]
  assert titles[:2] == ['Cost in MACs', 'Cost in parameters']


def test_cost_says_that_a_warmup_has_measured_nothing():
  figure = search._costs(metrics(3, 3), {MACS: 8500})
  assert any('not measured' in t for t in texts(figure))
  assert list(lines(figure.axes[0])) == ['limit 8.50k']


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


# --- Comparison --------------------------------------------------------------


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


@pytest.mark.parametrize('rows', [[], ROWS[:1], ROWS])
@pytest.mark.parametrize('x', ['macs', 'params'])
def test_comparison_figure_is_written(tmp_path, rows, x):
  assert_png(report.comparison_figure(tmp_path / 'c.png', rows, x=x))


# --- Words and colours -------------------------------------------------------


def test_words_of_ops():
  ops = (MBConv(7, 4), Conv(3), Skip(), Classifier(0.1))
  assert [canvas.words(op) for op in ops] == [
    '7x7, expand 4',
    '3x3 conv',
    'skip',
    'classifier',
  ]


def test_colours_differ_and_do_not_depend_on_the_company():
  ops = [MBConv(k, e) for k in (3, 5, 7) for e in (1, 3, 6)]
  ops += [Skip(), Conv(3), Conv(5)]
  found = canvas.colours(ops)
  assert len(set(found.values())) == len(ops)
  for op in ops[:10]:
    assert canvas.colours([op])[op.name] == found[op.name]
