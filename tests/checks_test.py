"""Checks of numbers and names, at the borders of what they let pass."""

import math

import pytest

from nasjax import checks
from tests.conftest import refused

LETS_PASS = [
  (lambda x: checks.check_least(1, steps=x), (1, 2**31 - 1), (0, -1, 2**31)),
  (lambda x: checks.check_seed(x), (0, 2**32 - 1), (-1, 2**32)),
  (lambda x: checks.check_seed(x, 3), (2**32 - 3,), (2**32 - 2,)),
  (
    lambda x: checks.check_positive(rate=x),
    (1e-30, 3e38),
    (0.0, -1.0, math.inf, math.nan),
  ),
  (
    lambda x: checks.check_not_negative(decay=x),
    (0.0, 3e38),
    (-1e-9, math.inf, math.nan),
  ),
  (checks.check_fill, (0.0, 1.0), (-0.1, 1.1, math.nan)),
  (checks.check_image_edge, (None, 1, 2**31 - 1), (0, -1, 2**31)),
  (
    checks.check_test_fraction,
    (1e-9, 0.2, 0.999),
    (0.0, 1.0, -0.1, 1.5, math.nan),
  ),
]


@pytest.mark.parametrize(('check', 'right', 'wrong'), LETS_PASS)
def test_borders(check, right, wrong):
  for value in right:
    check(value)
  for value in wrong:
    refused('it must be', check, value)


@pytest.mark.parametrize(
  ('text', 'number'),
  [('300000', 3e5), ('3e5', 3e5), ('300k', 3e5), ('0.3M', 3e5), ('1G', 1e9)],
)
def test_numbers_as_people_write_them(text, number):
  assert checks.parse_number(text, 'limit') == number
  assert checks.parse_limits([f'macs={text}'], ['macs']) == {'macs': number}


@pytest.mark.parametrize(
  ('text', 'number'),
  [
    *(('latency_ms=3.5', 3.5), ('latency_ms=3.5ms', 3.5)),
    *(('latency_ms=250us', 0.25), ('latency_ms=0.5s', 500)),
    *(('memory=64kB', 64_000), ('memory=64KiB', 65_536), ('memory=64k', 64e3)),
    *(('size_kb=200', 200), ('size_kb=2MB', 2000), ('ram_kb=64KiB', 65.536)),
    *(('ram_kb=512B', 0.512), ('size_kb=1MiB', 1048.576)),
    *(('memory=2MB', 2e6), ('memory=2MiB', 2_097_152), ('memory=9B', 9)),
  ],
)
def test_limits_may_have_the_unit_of_their_resource(text, number):
  name, _, typed = text.partition('=')
  known = ['macs', 'memory', 'latency_ms', 'size_kb', 'ram_kb']
  assert checks.parse_limits([text], known) == {name: pytest.approx(number)}
  # No unit stands for another resource's.
  if not typed[-1].isdigit() and typed[-1] not in 'kMG':
    refused('is no number', checks.parse_limits, [f'macs={typed}'], known)


@pytest.mark.parametrize('text', ['3m s', 'ms', '3msms', '3Kib', '3kms'])
def test_no_units_are_refused_with_those_there_are(text):
  for name, unit in (('latency_ms', '20ms'), ('memory', '20KiB')):
    refused(unit, checks.parse_limits, [f'{name}={text}'], [name])


@pytest.mark.parametrize('text', ['', 'k', '3x', '1,5', 'M3'])
def test_no_numbers_are_refused_with_what_was_typed(text):
  refused(f'limit: {text!r} is no number', checks.parse_number, text, 'limit')


def test_limits_are_on_known_resources_once():
  known = ['macs', 'params']
  refused('names no resource', checks.parse_limits, ['3e5'], known)
  refused('unknown resource', checks.parse_limits, ['watts=3'], known)
  refused(
    'two limits on macs', checks.parse_limits, ['macs=1', 'macs=2'], known
  )
  refused('not positive', checks.parse_limits, ['macs=0'], known)
