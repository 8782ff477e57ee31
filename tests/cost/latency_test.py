"""Latency as a cost: expected, exact in nanoseconds, and derived within."""

import dataclasses
import fractions
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import constraint, cost, derive, latency, relax, space, spaces, zoo
from nasjax.errors import InputError
from tests.conftest import refused
from tests.derive.derive_cases import drawn_alphas
from tests.latency.latency_cases import (
  FBNET,
  Chosen,
  by_hand,
  every_architecture,
  measured,
  random_table,
)

MIXED = Chosen((3, 2, 4), edges=2)


def _random_blocks(s, rng, dtype='float32', **fields):
  """A table with a random time for every block of a space."""
  entries = {}

  def measure(block, *shapes):
    key = latency.block_key(block, *shapes, dtype=dtype)
    if key is not None:
      entries.setdefault(key, round(rng.uniform(0.1, 2), 4))
    return 0

  s.tables(measure)
  return latency.LatencyTable(s.name, entries, dtype=dtype, **fields)


def _exactly(table, keys):
  """The sum of entries as whole nanoseconds, each rounded up."""
  total = 0
  for key in keys:
    ms = fractions.Fraction(repr(table.entries[key]))
    ns = ms * fractions.Fraction(repr(table.scale)) * 10**6
    total += -(-ns.numerator // ns.denominator)
  return total


@pytest.mark.parametrize(
  'make', [spaces.tiny, spaces.tiny_width, spaces.tiny_macro]
)
def test_the_cost_of_an_architecture_is_the_sum_over_its_blocks(x64, make):
  s = make()
  table = _random_blocks(s, np.random.default_rng(0), scale=1.07)
  price = cost.latency(s, table)
  for a in every_architecture(s):
    keys = []

    def measure(block, *shapes, keys=keys):
      keys.append(latency.block_key(block, *shapes, dtype='float32'))
      return 0

    s.fix(a).tables(measure)
    ns = _exactly(table, [key for key in keys if key is not None])
    assert price.exact(a) == ns / 10**6
    assert float(price(space.one_hot(a))) == pytest.approx(
      ns / 10**6, rel=1e-12
    )
    assert cost.latency(s.fix(a), table).constant == ns / 10**6


@pytest.mark.parametrize('s', [MIXED, spaces.tiny()])
def test_one_hot_is_exact(x64, s):
  price = cost.latency(s, random_table(s, np.random.default_rng(0)))
  for a in every_architecture(s):
    shown = float(price(space.one_hot(a)))
    assert shown == pytest.approx(price.exact(a), rel=1e-12)
    assert isinstance(price.exact(a), float)
  assert (price.name, price.unit) == ('latency_ms', 'ms')


def test_a_constant_may_move_from_a_choice_to_the_fixed_part(x64):
  rng = np.random.default_rng(0)
  alphas = space.init_alphas(MIXED, jax.random.key(0), 1.0)
  probs = relax.softmax(alphas)
  for _ in range(6):
    table = random_table(MIXED, rng)
    axis = list(space.axes(MIXED.choices))[rng.integers(5)]
    moved = round(rng.uniform(0, table.entries['fixed']), 6)
    entries = dict(table.entries)
    entries['fixed'] = round(entries['fixed'] - moved, 6)
    for option in space.axes(MIXED.choices)[axis]:
      key = f'{space.label(axis)}/{option}'
      entries[key] = round(entries[key] + moved, 6)
    one = cost.latency(MIXED, table)
    other = cost.latency(MIXED, dataclasses.replace(table, entries=entries))
    for a in every_architecture(MIXED):
      assert one.exact(a) == other.exact(a)
    assert float(one(probs)) == pytest.approx(float(other(probs)), rel=1e-12)


@pytest.mark.slow
def test_the_expectation_is_the_mean_of_all_and_has_its_derivative(x64):
  """Of a fitted table, with a choice of a shape."""
  rng = np.random.default_rng(0)
  networks = every_architecture(MIXED)
  true = random_table(MIXED, rng)
  times = [by_hand(true, a) * rng.uniform(0.98, 1.02) for a in networks]
  price = cost.latency(MIXED, latency.fit(MIXED, networks, times))
  alphas = space.init_alphas(MIXED, jax.random.key(1), 1.0)
  costs = jnp.array([price.exact(a) for a in networks])
  indices = np.array([a.indices for a in networks])
  expected = jax.jit(lambda alphas: price(relax.softmax(alphas)))

  def enumerated(alphas):
    single = space.rows(relax.softmax(alphas))
    columns = zip(space.axes(MIXED.choices), indices.T, strict=True)
    return costs @ jnp.prod(jnp.stack([single[a][i] for a, i in columns]), 0)

  value, gradient = jax.value_and_grad(expected)(alphas)
  assert float(value) == pytest.approx(float(enumerated(alphas)), rel=1e-12)
  by_mean = jax.grad(enumerated)(alphas)
  step = 1e-6
  for name, row in alphas.items():
    np.testing.assert_allclose(gradient[name], by_mean[name], atol=1e-12)
    for index in np.ndindex(row.shape):
      up, down = (
        expected(alphas | {name: row.at[index].add(sign * step)})
        for sign in (1, -1)
      )
      slope = float(up - down) / (2 * step)
      assert float(gradient[name][index]) == pytest.approx(slope, abs=1e-8)


def test_a_limit_in_decimals_is_kept_as_it_is_written():
  """In floats, 0.1 + 0.2 is more than 0.3, and ten 0.1 are less than 1."""
  s = Chosen((2,) * 10)
  tenths = {f'slot{i}/{o}': 0.1 for i in range(10) for o in 'ab'}
  price = cost.latency(
    s, latency.LatencyTable('chosen', tenths | {'fixed': 0.0}, 'choices')
  )
  assert price.bounds() == (1.0, 1.0)
  assert price.exact(derive.within(s, space.init_alphas(s), {price: 1.0})) == 1
  refused(
    'latency_ms <= 0.999999;',
    *(derive.within, s, space.init_alphas(s), {price: 0.999999}),
  )
  two = Chosen((1, 1))
  entries = {'slot0/a': 0.1, 'slot1/a': 0.2, 'fixed': 0.0}
  price = cost.latency(two, latency.LatencyTable('chosen', entries, 'choices'))
  assert price.bounds() == (0.3, 0.3)


def test_entries_are_rounded_up_to_nanoseconds():
  s = Chosen((2,))
  of = lambda ms, scale=1.0: cost.latency(  # noqa: E731
    s,
    latency.LatencyTable(
      'chosen',
      {'slot0/a': ms, 'slot0/b': 0.0, 'fixed': 0.0},
      'choices',
      scale=scale,
    ),
  ).bounds()[1]
  assert of(0.1) == 0.1
  assert of(0.1234561) == 0.123457
  assert of(1e-9) == 1e-6
  assert of(0.5, 1.1) == 0.55
  # The product of these floats is below 0.33, and just above it.
  assert of(0.3, 1.1) == 0.33
  assert of(0.1, 3.0) == 0.3


def _best(networks, alphas, limits):
  """The most probable architecture within limits, of all."""
  kept = [
    a
    for a in networks
    if all(price.exact(a) <= limit for price, limit in limits.items())
  ]
  return max(derive.log_prob(a, alphas) for a in kept)


@pytest.mark.parametrize('digits', [1, 3, 6])
def test_what_is_derived_is_the_best_of_all_within_a_limit(digits):
  """With few decimals, many networks lie on the limit itself."""
  rng = np.random.default_rng(digits)
  s = Chosen((3, 4, 2, 3, 3))
  networks = every_architecture(s)
  for _ in range(4):
    price = cost.latency(s, random_table(s, rng, digits))
    alphas = drawn_alphas(s, rng)
    for limit in rng.choice([price.exact(a) for a in networks], 10):
      found = derive.solution(s, alphas, {price: limit})
      assert price.exact(found.architecture) <= limit
      assert found.gap == 0
      assert derive.log_prob(found.architecture, alphas) == pytest.approx(
        _best(networks, alphas, {price: limit})
      )


def test_latency_macs_params_and_memory_are_kept_at_once():
  s = spaces.tiny_width()
  rng = np.random.default_rng(0)
  price = cost.latency(s, _random_blocks(s, rng))
  costs = (price, cost.macs(s), cost.params(s), cost.memory(s))
  networks = every_architecture(s)
  for _ in range(15):
    alphas = drawn_alphas(s, rng)
    inside = networks[rng.integers(len(networks))]
    limits = {c: c.exact(inside) for c in costs}
    found = derive.within(s, alphas, limits)
    assert all(c.exact(found) <= limit for c, limit in limits.items())
    assert derive.log_prob(found, alphas) == pytest.approx(
      _best(networks, alphas, limits)
    )
    kept = derive.certificate(found, alphas, limits).kept
    assert kept['latency_ms'].slack >= 0


@pytest.mark.parametrize('form', ['project', 'project_equal'])
def test_alphas_are_projected_onto_a_limit_on_latency(form):
  s = spaces.tiny()
  price = cost.latency(s, random_table(s, np.random.default_rng(0)))
  low, high = price.bounds()
  macs = cost.macs(s)
  limits = {price: 0.8 * low + 0.2 * high, macs: macs.bounds()[1]}
  projection = constraint.keep(limits, form).projection
  alphas = space.init_alphas(s, jax.random.key(0), 1.0)
  assert float(price(relax.softmax(alphas))) > limits[price]
  moved, _ = projection.update(alphas, relax.softmax, projection.init())
  assert float(price(relax.softmax(moved))) == pytest.approx(
    limits[price], rel=1e-4
  )


def test_the_frontier_has_exact_latencies():
  rng = np.random.default_rng(0)
  s = Chosen((3, 4, 2, 3))
  networks = every_architecture(s)
  price, alphas = cost.latency(s, random_table(s, rng, 1)), drawn_alphas(s, rng)
  points = derive.pareto(s, alphas, price)
  assert [p.cost for p in points] == sorted({p.cost for p in points})
  for point in points:
    assert price.exact(point.architecture) == point.cost
    best = derive.within_budget(points, point.cost)
    assert best.log_prob == pytest.approx(
      _best(networks, alphas, {price: point.cost})
    )


@pytest.mark.shared
def test_networks_of_fbnet_are_derived_within_a_phone_s_milliseconds(shared):
  networks, columns = measured(shared)
  fitted = latency.fit(FBNET, networks[:600], columns['pixel3_ms'][:600])
  price = cost.latency(FBNET, fitted)
  rng = np.random.default_rng(0)
  alphas = drawn_alphas(FBNET, rng)
  low, high = price.bounds()
  for limit in np.linspace(low, high, 12)[1:-1]:
    found = derive.solution(FBNET, alphas, {price: limit})
    assert by_hand(fitted, found.architecture) <= limit
    assert found.gap == 0
  # The first four slots alone, against all of their 6561 networks.
  small = Chosen((9,) * 4, name='cut')
  names = {f'slot{i}/{o}' for i in range(4) for o in 'abcdefghi'} | {'fixed'}
  cut = dataclasses.replace(
    fitted,
    space='cut',
    entries={k: ms for k, ms in fitted.entries.items() if k in names},
  )
  price, few = cost.latency(small, cut), every_architecture(small)
  alphas = drawn_alphas(small, rng)
  costs = np.array([price.exact(a) for a in few])
  scores = np.array([derive.log_prob(a, alphas) for a in few])
  low, high = price.bounds()
  for limit in np.linspace(low, high, 12)[1:-1]:
    found = derive.within(small, alphas, {price: limit})
    assert price.exact(found) <= limit
    assert derive.log_prob(found, alphas) == pytest.approx(
      scores[costs <= limit].max()
    )


def test_a_table_of_something_else_is_refused_with_both():
  tiny = spaces.tiny()
  table = _random_blocks(
    tiny, np.random.default_rng(0), image_size=8, num_classes=10
  )
  cost.latency(tiny, table, dtype='float32')
  for s, said in (
    (spaces.tiny_width(), 'tiny, and the network of tiny_width'),
    (spaces.tiny(image_size=32), '8 pixels, and the network of 32 pixels'),
    (spaces.tiny(num_classes=7), '10 classes, and the network of 7 classes'),
  ):
    refused(said, cost.latency, s, table)
  refused(
    'float32, and the network of int8', cost.latency, tiny, table, dtype='int8'
  )


def test_keys_that_are_missing_are_all_listed():
  s = spaces.tiny()
  table = _random_blocks(s, np.random.default_rng(0))
  left_out = sorted(table.entries)[::2]
  entries = {k: ms for k, ms in table.entries.items() if k not in left_out}
  lacking = dataclasses.replace(table, entries=entries)
  with pytest.raises(InputError) as caught:
    cost.latency(s, lacking)
  assert str(caught.value).endswith(f'lacks {", ".join(left_out)}')


def test_options_that_are_missing_or_unknown_are_all_listed():
  table = random_table(MIXED, np.random.default_rng(0))
  entries = dict(table.entries)
  for key in ('edges[1]/none', 'fixed', 'slot2/d'):
    del entries[key]
  refused(
    r'lacks edges\[1\]/none, fixed, slot2/d$',
    *(cost.latency, MIXED, dataclasses.replace(table, entries=entries)),
  )
  entries = {**table.entries, 'slot9/a': 1.0, 'slot0/z': 1.0}
  refused(
    'does not have: slot0/z, slot9/a$',
    *(cost.latency, MIXED, dataclasses.replace(table, entries=entries)),
  )


def test_times_that_no_float_tells_apart_are_refused():
  s = Chosen((2,))
  entries = {'slot0/a': 9e8, 'slot0/b': 9e8, 'fixed': 9e8}
  table = latency.LatencyTable('chosen', entries, 'choices')
  refused('latency_ms.*may come to', cost.latency, s, table)


def test_decimals_of_a_cost_are_checked():
  tables = (cost.Table((), (), (0.25,)), cost.Table((), (), (0.5,)))
  assert cost.Cost('a', 'ms', tables, digits=2).constant == 0.75
  with pytest.raises(ValueError, match='at most 1 decimals'):
    cost.Cost('a', 'ms', tables, digits=1)


def test_a_published_network_has_a_latency():
  network = zoo.mobilenet_v3_small()
  table = _random_blocks(network, np.random.default_rng(0), 'int8')
  price = cost.latency(network, table)
  low, high = price.bounds()
  assert low == high == price.constant > 0
  for wrong in itertools.islice(table.entries, 1):
    fewer = {k: ms for k, ms in table.entries.items() if k != wrong}
    refused(
      'lacks', cost.latency, network, dataclasses.replace(table, entries=fewer)
    )
