"""Fits to whole networks: what they find, and what their error says."""

import dataclasses

import numpy as np
import pytest

from nasjax import cost, latency, space, spaces
from tests.conftest import refused
from tests.latency.latency_cases import (
  FBNET,
  Chosen,
  by_hand,
  every_architecture,
  measured,
  random_table,
)

MIXED = Chosen((3, 2, 4), edges=2)


def _drawn(s, number, rng):
  architectures = every_architecture(s)
  return [
    architectures[i] for i in rng.permutation(len(architectures))[:number]
  ]


@pytest.mark.parametrize('s', [MIXED, Chosen((2,)), spaces.tiny()])
def test_sums_of_a_table_are_found_again(s):
  rng = np.random.default_rng(0)
  for _ in range(5):
    table = random_table(s, rng)
    free = 1 + sum(len(o) - 1 for o in space.axes(s.choices).values())
    networks = _drawn(s, max(3 * free // 2, free), rng)
    found = latency.fit(s, networks, [by_hand(table, a) for a in networks])
    price = cost.latency(s, found)
    for a in every_architecture(s):
      assert price.exact(a) == pytest.approx(by_hand(table, a), rel=1e-12)
    # The convention: the fastest option of each choice is 0.
    for axis, options in space.axes(s.choices).items():
      own = [found.entries[f'{space.label(axis)}/{o}'] for o in options]
      assert min(own) == 0
    assert found.entries['fixed'] == pytest.approx(price.bounds()[0], abs=1e-5)
    assert found.error is None or found.error < 1e-9


def test_the_table_is_of_the_space():
  tiny = spaces.tiny(image_size=32, num_classes=7)
  table = latency.fit(tiny, every_architecture(tiny), [1.0] * 12)
  assert (table.space, table.kind) == ('tiny', 'choices')
  assert (table.image_size, table.num_classes) == (32, 7)
  assert table.error_of == 'leave-one-out'


def test_the_error_is_that_of_fits_without_each_network():
  rng = np.random.default_rng(1)
  networks = _drawn(MIXED, 40, rng)
  table = random_table(MIXED, rng)
  times = np.array([5 + by_hand(table, a) for a in networks])
  times *= rng.uniform(0.98, 1.02, len(times))
  errors = []
  for i, network in enumerate(networks):
    rest = [j for j in range(len(networks)) if j != i]
    found = latency.fit(MIXED, [networks[j] for j in rest], times[rest])
    errors.append(abs(by_hand(found, network) - times[i]) / times[i])
  found = latency.fit(MIXED, networks, times)
  assert found.error == pytest.approx(np.mean(errors), rel=1e-6)


def test_as_many_networks_as_numbers_have_no_error():
  networks = [
    a for a in every_architecture(MIXED) if sum(i > 0 for i in a.indices) < 2
  ]
  assert len(networks) == 1 + 2 + 1 + 3 + 2
  found = latency.fit(MIXED, networks, range(1, 10))
  assert found.error is None
  assert found.entries['edges[1]/conv'] >= 0
  refused(
    'times of 8 networks; chosen has 9',
    *(latency.fit, MIXED, networks[1:], range(1, 9)),
  )


def test_no_time_is_below_zero():
  s = Chosen((2, 2))
  networks = every_architecture(s)
  # By plain least squares the first network would take -1.925 ms.
  times = np.array([0.1, 1.0, 1.0, 10.0])
  found = latency.fit(s, networks, times)
  assert found.entries['fixed'] == 0
  assert min(found.entries.values()) >= 0
  # No other such table is closer.
  loss = lambda t: sum((by_hand(t, a) - ms) ** 2 for a, ms in known)  # noqa: E731
  known = list(zip(networks, times, strict=True))
  rng = np.random.default_rng(0)
  for scale in np.logspace(-4, 0, 200):
    moved = {
      key: max(0.0, ms + scale * rng.normal())
      for key, ms in found.entries.items()
    }
    other = dataclasses.replace(found, entries=moved)
    assert loss(other) >= loss(found)


def test_networks_that_cannot_tell_are_refused_with_the_options():
  networks = every_architecture(MIXED)
  ones = np.ones(len(networks))
  few = [a for a in networks if a.choice[0] != 'c' and a.choice[4] != 'conv']
  refused(
    r'no network has slot0/c, edges\[1\]/conv',
    *(latency.fit, MIXED, few, ones[: len(few)]),
  )
  # The first two choices always change together.
  tied = [a for a in networks if (a.indices[0] == 1) == (a.indices[1] == 1)]
  refused(
    'not tell apart slot0/b, slot1/b;',
    *(latency.fit, MIXED, tied, ones[: len(tied)]),
  )


@pytest.mark.parametrize(
  'ms', [0.0, -1.0, float('nan'), float('inf'), '1.5', None, True]
)
def test_a_time_that_is_none_is_refused_by_its_place(ms):
  networks = every_architecture(spaces.tiny())
  times = [1.0] * 12
  times[7] = ms
  refused(r'ms\[7\] is', latency.fit, spaces.tiny(), networks, times)


def test_networks_of_another_space_are_refused():
  tiny, other = spaces.tiny(), spaces.tiny(image_size=32)
  networks = every_architecture(tiny)
  networks[3] = every_architecture(other)[3]
  refused(r'architectures\[3\]', latency.fit, tiny, networks, [1.0] * 12)
  refused(
    '12 architectures and 5 times', latency.fit, tiny, networks, [1.0] * 5
  )
  refused('times of 0 networks', latency.fit, tiny, [], [])


@pytest.mark.shared
@pytest.mark.parametrize('column', ['pixel3_ms', 'raspi4_ms'])
def test_the_table_of_a_phone_is_recovered_from_600_networks(shared, column):
  networks, columns = measured(shared)
  ms = columns[column]
  found = latency.fit(FBNET, networks[:600], ms[:600])
  price = cost.latency(FBNET, found)
  for network, true in zip(networks[600:], ms[600:], strict=True):
    assert price.exact(network) == pytest.approx(true, rel=1e-4)
  assert found.error < 1e-4


@pytest.mark.shared
@pytest.mark.parametrize(
  ('column', 'error', 'explained'),
  [
    # As ../shared/reference/groundtruth/README.md has them.
    ('gold_6226_ms', 0.044, 0.93),
    ('gold_6240_ms', 0.026, 0.90),
    ('2080ti_1_ms', 0.007, 0.98),
    ('titan_rtx_32_ms', 0.007, 0.98),
  ],
)
def test_what_was_measured_whole_is_explained_as_known(
  shared, column, error, explained
):
  networks, columns = measured(shared)
  ms = columns[column]
  indices = np.array([a.indices for a in networks])
  # The known numbers depend on which 600 were drawn: take the middle of five.
  errors, shares, stated = [], [], []
  for seed in range(5):
    order = np.random.default_rng(seed).permutation(len(networks))
    fitted, rest = order[:600], order[600:]
    found = latency.fit(FBNET, [networks[i] for i in fitted], ms[fitted])
    tables = [t.array() for t in cost.latency(FBNET, found).tables]
    sums = tables[0] + sum(
      t[column] for t, column in zip(tables[1:], indices[rest].T, strict=True)
    )
    residuals = sums - ms[rest]
    errors.append(np.mean(abs(residuals) / ms[rest]))
    shares.append(1 - np.mean(residuals**2) / np.var(ms[rest]))
    stated.append(found.error)
  assert (
    np.median(errors) <= error + 0.0005
  )  # One unit of the last digit, half.
  assert np.median(shares) >= explained - 0.005
  # The error that the fit states is that of the networks it has not seen.
  assert np.median(stated) == pytest.approx(np.median(errors), rel=0.15)
