"""Warnings: a supernet that does not rank, and alphas that collapsed."""

import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import cost, spaces
from nasjax.run import ranking
from nasjax.search import contributions

SPACE = spaces.nasbench_macro()
MACS = cost.macs(SPACE)


def _judged(number, loss, memory=200):
  rng = np.random.default_rng(0)
  options = {
    name: jnp.asarray(rng.integers(0, len(c), number))
    for name, c in SPACE.choices.items()
  }
  size = np.sum([np.asarray(o) for o in options.values()], 0)
  return contributions.add(
    contributions.empty(SPACE.choices, memory),
    options,
    jnp.asarray(loss(size), jnp.float32),
    jnp.zeros(number),
  )


def test_networks_that_were_judged_pass_or_fail_the_gates():
  good = ranking.gates_of(SPACE, _judged(200, lambda size: -size), MACS)
  assert good is not None
  assert good.rises > 0.5
  assert good.agree > 0.8
  bad = ranking.gates_of(SPACE, _judged(200, lambda size: 1.0 * size), MACS)
  assert bad is not None
  assert bad.rises == pytest.approx(-good.rises)


def test_costs_are_those_of_each_network():
  """The rank correlation is that of exact MACs."""
  judged = _judged(100, lambda size: -size.astype(float))
  found = ranking.gates_of(SPACE, judged, MACS)
  indices = np.stack([np.asarray(o)[:100] for o in judged.options.values()], 1)
  macs = []
  for row in indices:
    probs = {
      name: jnp.eye(len(c))[i]
      for (name, c), i in zip(SPACE.choices.items(), row, strict=True)
    }
    macs.append(float(MACS(probs)))
  order = np.corrcoef(_ranks(macs), _ranks(indices.sum(1)))[0, 1]
  assert found is not None
  assert found.rises == pytest.approx(order, abs=1e-6)


def _ranks(values):
  values = np.asarray(values)
  below = (values[None] < values[:, None]).sum(1)
  same = (values[None] == values[:, None]).sum(1)
  return below + (same - 1) / 2


def test_too_few_networks_or_a_mixture_have_no_gates():
  assert ranking.gates_of(SPACE, _judged(47, lambda s: -s), MACS) is None
  assert ranking.gates_of(SPACE, (), MACS) is None


def test_a_full_memory_is_used_whole():
  """Networks that were forgotten do not count."""
  first = _judged(100, lambda size: 1.0 * size, memory=100)
  options = {name: o for name, o in first.options.items()}
  size = np.sum([np.asarray(o) for o in options.values()], 0)
  both = contributions.add(
    first, options, jnp.asarray(-size, jnp.float32), jnp.zeros(100)
  )
  found = ranking.gates_of(SPACE, both, MACS)
  assert found is not None
  assert found.rises > 0.5


def test_a_collapse_is_said_and_kept():
  alphas = {
    name: np.eye(len(c))[c.skip if c.skip is not None else 1]
    for name, c in SPACE.choices.items()
  }
  record = ranking.described(SPACE, (), alphas, {MACS: 1e8})
  (line,) = ranking.lines(record)
  assert 'in 5 of 5 places' in line
  assert ranking.gates_in(record) is None
  fine = {name: np.eye(len(c))[1] for name, c in SPACE.choices.items()}
  assert ranking.described(SPACE, (), fine, {MACS: 1e8}) == {}


def test_records_survive_a_file():
  record = ranking.described(
    SPACE, _judged(200, lambda size: 1.0 * size), {}, {MACS: 1e8}
  )
  found = ranking.gates_in(record)
  assert found is not None
  assert all(isinstance(v, (int, float)) for v in record['gates'].values())
  (line,) = ranking.lines(record)
  assert line.startswith('the supernet may not rank: networks of the supernet')


def test_gates_that_are_passed_are_said_with_their_numbers():
  record = ranking.described(
    SPACE, _judged(200, lambda size: -size), {}, {MACS: 1e8}
  )
  (line,) = ranking.lines(record)
  found = ranking.gates_in(record)
  assert found is not None
  assert 'passes its gates' in line
  assert f'{found.rises:.2f}' in line
  assert f'{found.agree:.2f}' in line


@pytest.mark.parametrize('judged', [(), _judged(200, lambda size: -size)])
def test_a_search_with_a_price_and_no_limit_has_a_record(judged):
  fine = {name: np.eye(len(c))[1] for name, c in SPACE.choices.items()}
  record = ranking.described(SPACE, judged, fine, {})
  limited = ranking.described(SPACE, judged, fine, {MACS: 1e8})
  assert record == limited
