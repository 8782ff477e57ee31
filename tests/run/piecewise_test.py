"""Numbers that change over a search: as typed, and at every step."""

import numpy as np
import pytest

from nasjax.run import piecewise
from tests.conftest import refused


@pytest.mark.parametrize(
  ('text', 'points'),
  [
    ('0:0.5,240:1', ((0, 0.5), (240, 1.0))),
    ('80:0,240:0.1', ((80, 0.0), (240, 0.1))),
  ],
)
def test_a_text_gives_points_and_points_a_text(text, points):
  assert piecewise.points(text, 'entropy', 240) == points
  assert piecewise.points(points, 'entropy', 240) == points
  assert piecewise.parse(piecewise.written(points), 'entropy') == points


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('x', "entropy: 'x' is no number"),
    ('a:1,240:0', "'a:1' does not begin with a step"),
    ('80:0,80:1,240:1', 'its steps must rise'),
    ('0:0,200:1', 'ends at step 200, before the run; with steps 240'),
    ((), 'entropy has no points'),
    (float('nan'), 'entropy is nan; it must be finite'),
  ],
)
def test_what_is_no_schedule_is_refused_by_name(text, message):
  refused(message, piecewise.points, text, 'entropy', 240)


def test_a_number_is_one_point_from_the_start():
  assert piecewise.points('0.1', 'entropy', 240) == ((0, 0.1),)
  assert piecewise.points(2, 'entropy', 240) == ((0, 2.0),)


def test_values_are_interpolated_between_points_and_constant_beyond():
  at = piecewise.schedule(((80, 0.0), (240, 0.1)))
  steps = np.array([0, 80, 120, 160, 240, 300])
  expected = np.interp(steps, [80, 240], [0.0, 0.1])
  np.testing.assert_allclose([at(i) for i in steps], expected, rtol=1e-6)
