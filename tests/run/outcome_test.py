"""What `architecture.json` says of limits, fill and proof, and in words."""

import numpy as np
import pytest

from experiments.sweep import one_search
from nasjax import cost, derive, space, spaces
from nasjax.run import outcome
from tests.conftest import refused
from tests.latency.latency_cases import random_table


def _saved(tmp_path, s, logits, limits, fill=0.98, finalists=()):
  found = derive.solution(s, logits, limits, fill=fill).architecture
  outcome.save(
    tmp_path,
    found,
    logits,
    limits,
    fill=fill,
    finalists=list(finalists),
    seed=0,
    stopped=None,
    supernet={},
  )
  return space.read_record(tmp_path / 'architecture.json')


def _alphas(s, seed=0):
  rng = np.random.default_rng(seed)
  return {
    k: rng.normal(size=len(n)).astype(np.float32) for k, n in s.choices.items()
  }


@pytest.mark.parametrize(
  ('times', 'fill', 'kept'),
  [(1, 0.98, True), (1, 1.0, True), (2, 0.98, False), (2, 0.0, True)],
)
def test_a_fill_that_is_not_kept_is_said(tmp_path, times, fill, kept):
  s = spaces.tiny()
  macs = cost.macs(s)
  limits = {macs: times * macs.bounds()[1]}
  record = _saved(tmp_path, s, _alphas(s), limits, fill)
  certificate = record['certificate']
  assert certificate['fill'] == fill
  used = record['resources']['macs']['cost'] / limits[macs]
  assert certificate['filled'] == pytest.approx(used)
  assert (certificate['filled'] >= fill) == kept
  assert (certificate['gap'], certificate['fill_open']) == (0.0, False)
  said = outcome.unproven(certificate)
  assert len(said) == (not kept)
  assert all(line in outcome.lines(record) for line in said)
  if said:
    assert f'{used:.2%}' in said[0]


def test_a_limit_on_memory_alone_is_not_filled_and_that_is_said(tmp_path):
  s = spaces.tiny()
  memory = cost.memory(s)
  used = memory.exact(space.argmax(s, _alphas(s)))
  for times, fill, kept in ((1, 0.98, True), (2, 0.98, False), (2, 0.0, True)):
    record = _saved(tmp_path, s, _alphas(s), {memory: times * used}, fill)
    assert record['certificate']['filled'] is None
    said = outcome.unproven(record['certificate'])
    assert len(said) == (not kept)
    assert all('50.00% of a limit' in line for line in said)
    assert all(line in outcome.lines(record) for line in said)


def test_a_search_without_limits_has_no_fill(tmp_path):
  s = spaces.tiny()
  record = _saved(tmp_path, s, _alphas(s), {})
  assert outcome.unproven(record['certificate']) == []


def test_a_gap_is_of_the_likeliest_finalist_and_is_said(tmp_path, monkeypatch):
  s = spaces.tiny()
  macs, alphas = cost.macs(s), _alphas(s)
  limits = {macs: macs.bounds()[1]}
  best = derive.solution(s, alphas, limits)
  value = derive.log_prob(best.architecture, alphas)
  stopped = best._replace(gap=1.5)
  monkeypatch.setattr(derive, 'solution', lambda *_, **__: stopped)
  for known, gap in (((), 1.5), ((value - 1,), 1.5), ((value + 0.5,), 1.0)):
    rows = [{'choice': (), 'log_prob': p, 'valid_accuracy': 0.5} for p in known]
    record = _saved(tmp_path, s, alphas, limits, 0.0, rows)
    assert record['certificate']['gap'] == pytest.approx(gap)
    (line,) = outcome.unproven(record['certificate'])
    assert line in outcome.lines(record)
    assert f'{gap:.3g} nats' in line
  open_ = stopped._replace(gap=0.0, fill_open=True)
  monkeypatch.setattr(derive, 'solution', lambda *_, **__: open_)
  limits = {macs: 2 * macs.bounds()[1]}
  certificate = _saved(tmp_path, s, alphas, limits, 0.9)['certificate']
  assert certificate['fill_open']
  (line,) = outcome.unproven(certificate)
  assert 'in time' in line


def test_a_file_of_before_is_read(tmp_path):
  s = spaces.mobile_small()
  macs, memory = cost.macs(s), cost.memory(s)
  limits = {macs: 2 * macs.bounds()[1], memory: memory.bounds()[1]}
  record = _saved(tmp_path, s, _alphas(s), limits)
  new = outcome.lines(record)
  certificate = record['certificate']
  for name in ('fill', 'filled', 'gap', 'fill_open'):
    del certificate[name]
  old = outcome.lines(record)
  assert [line for line in new if line in old] == old
  assert len(old) == len(new) - 1  # That the fill is not kept.
  path = tmp_path / 'old.json'
  space.Architecture.load(tmp_path / 'architecture.json').save(
    path, **{k: record[k] for k in ('resources', 'certificate', 'alphas')}
  )
  found, again = space.Architecture.load(path), space.read_record(path)
  plan = one_search.plan(found.space, again, [0.25], 0, 0, 0.5)
  first, *_ = plan.entries
  assert first.kind == 'searched'


def test_a_comparison_says_where_a_budget_is_not_filled(tmp_path, capsys):
  s = spaces.mobile_small()
  macs = cost.macs(s)
  limits = {macs: 2 * macs.bounds()[1]}
  record = _saved(tmp_path, s, _alphas(s), limits)
  found = space.Architecture.load(tmp_path / 'architecture.json')
  one_search.plan(found.space, record, [1.0, 0.25], 0, 0, 0.98)
  said = [
    line for line in capsys.readouterr().out.splitlines() if 'not kept' in line
  ]
  assert len(said) == 1
  assert f'within {limits[macs]} MACs' in said[0]


@pytest.mark.parametrize(
  'preset', [spaces.tiny, spaces.tiny_width, spaces.tiny_macro]
)
def test_the_recorded_costs_are_those_of_the_whole_space(preset, draw):
  s = preset()
  limits = {cost.params(s): 3000.0}
  for a, plain in [(draw(s), draw(s)) for _ in range(3)]:
    recorded = outcome.resources(a, plain, limits)
    assert list(recorded) == list(cost.RESOURCES)
    for name, make in cost.RESOURCES.items():
      assert recorded[name]['cost'] == make(s).exact(a)
      assert recorded[name]['argmax_cost'] == make(s).exact(plain)
      assert recorded[name]['limit'] == (3000 if name == 'params' else None)


def test_a_limited_latency_is_recorded_beside_the_others(draw):
  s = spaces.tiny()
  table = random_table(s, np.random.default_rng(0))
  price = cost.latency(s, table)
  a, plain = draw(s), draw(s)
  recorded = outcome.resources(a, plain, {price: 9.5})
  assert list(recorded) == [*cost.RESOURCES, 'latency_ms']
  assert recorded['latency_ms'] == {
    'cost': price.exact(a),
    'limit': 9.5,
    'unit': 'ms',
    'argmax_cost': price.exact(plain),
  }
  assert 'latency_ms' not in outcome.resources(a, plain, {})


def test_a_comparison_refuses_a_limit_on_latency(tmp_path):
  s = spaces.tiny()
  price = cost.latency(s, random_table(s, np.random.default_rng(0)))
  limits = {cost.macs(s): 60_000, price: price.bounds()[1]}
  logits = {k: np.zeros(len(n), np.float32) for k, n in s.choices.items()}
  record = _saved(tmp_path, s, logits, limits)
  assert any('latency_ms: ' in line for line in outcome.lines(record))
  refused(
    'limit on latency_ms, which', one_search.plan, s, record, [1.0], 0, 0, 0
  )
