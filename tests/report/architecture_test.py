"""The picture of a network: its MACs, reductions, ops and widths."""

import dataclasses
import re

import numpy as np
import pytest
from matplotlib.image import imread

from nasjax import cost, report, zoo
from nasjax.report import architecture, canvas
from nasjax.space import fix
from tests.report.report_cases import CHOSEN, NETWORKS, TINY, assert_png, texts


@pytest.mark.parametrize('space', NETWORKS, ids=lambda s: s.name)
def test_architecture_shows_macs_that_sum_to_the_cost(space):
  figure = architecture.draw_network(space)
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
  written = texts(architecture.draw_network(space))
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
  written = texts(architecture.draw_network(space, 'a title'))
  for slot in space.slots:
    assert slot.name in written
    assert canvas.words(slot.ops[0]) in written
    assert str(slot.features) in written
  assert 'a title' in written


def test_architecture_keeps_its_texts_apart_and_inside():
  space = dataclasses.replace(zoo.mobilenet_v2(), name='n' * 40)
  long = dataclasses.replace(space.slots[0], name='a_slot_with_a_long_name')
  space = dataclasses.replace(space, slots=(long, *space.slots[1:]))
  figure = architecture.draw_network(space)
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
