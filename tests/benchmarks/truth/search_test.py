"""Searches judged by the table: scores, controls, resuming."""

import json
import types

import jax
import numpy as np
import pytest

from benchmarks.kept import Rows
from benchmarks.truth import controls, given, rank, search, table
from nasjax import cost, derive
from nasjax.run import finalists
from nasjax.run.config import SearchConfig
from nasjax.space import init_alphas


def _given(seed, q=0.5):
  limits = {'macs': table.load().quantile(q)}
  return given.Given('', None, None, limits, seed)


@pytest.mark.parametrize('seed', range(3))
def test_the_first_by_scores_is_the_one_that_is_derived(seed):
  truth = table.load()
  alphas = init_alphas(truth.space, jax.random.key(seed), 1.0)
  scores = {name: np.asarray(a) for name, a in alphas.items()}
  limits = _given(0).limits
  rows = given.by_scores(scores, limits)
  macs = cost.macs(truth.space)
  a = derive.within(
    truth.space, alphas, {macs: limits['macs']}, fill=given.FILL
  )
  assert rows[0] == truth.row(a)
  assert sorted(rows) == truth.keeping(limits, given.FILL).tolist()
  log_probs = [derive.log_prob(truth.architecture(r), alphas) for r in rows]
  assert log_probs == sorted(log_probs, reverse=True)


def test_finalists_are_the_next_in_rank_near_the_best_so_far():
  truth = table.load()
  for q, seed in (0.3, 0), (0.5, 1), (0.9, 2):
    limits = {'macs': truth.quantile(q)}
    ranked = np.random.default_rng(seed).permutation(
      truth.keeping(limits, given.FILL)
    )
    found = given.finalists(ranked.tolist())
    assert found[:2] == ranked[:2].tolist()
    assert len(set(found)) == given.FINALISTS
    for i in range(2, given.FINALISTS, 2):
      before = found[:i]
      best = truth.indices[max(before, key=lambda row: truth.tests[row, 0])]
      near = [
        row
        for row in ranked.tolist()
        if row not in before and (truth.indices[row] != best).sum() <= 2
      ]
      assert found[i : i + 2] == near[:2]


@pytest.mark.parametrize('seed', range(3))
def test_a_search_trains_the_first_by_scores(seed):
  truth, limits = table.load(), _given(0).limits
  alphas = init_alphas(truth.space, jax.random.key(seed), 1.0)
  scores = {name: np.asarray(a) for name, a in alphas.items()}
  inputs = types.SimpleNamespace(
    config=SearchConfig(finalists=given.FINALISTS, fill=given.FILL),
    space=truth.space,
    limits={cost.macs(truth.space): limits['macs']},
  )
  trained = finalists._candidates(
    inputs, alphas, lambda a: truth.tests[truth.row(a), 0]
  )
  rows = [truth.row(a) for a in trained]
  assert rows == given.by_scores(scores, limits)[: given.FINALISTS]


def test_finalists_without_enough_neighbours_are_the_next_of_all():
  truth = table.load()
  best = int(truth.tests[:, 0].argmax())
  changes = (truth.indices != truth.indices[best]).sum(1)
  *far, second = np.flatnonzero(changes > 2)[:8].tolist()
  near = int(np.flatnonzero(changes == 2)[0])
  found = given.finalists([best, second, *far, near])
  assert found == [best, second, near, *far[:5]]


@pytest.mark.parametrize('method', search.LOOKING_UP)
def test_a_control_keeps_the_limit_and_has_its_look_ups(method):
  truth = table.load()
  # In the first case the best look-ups have seen all of their neighbours.
  for seed, q in (106, 0.1), (0, 0.5), (1, 0.5), (2, 0.5):
    case = _given(seed, q)
    found = search.METHODS[method](case)
    assert len(set(found.rows[:8])) == given.FINALISTS == 8
    used = truth.costs['macs'][found.rows] / case.limits['macs']
    assert used.max() <= 1
    assert used.min() >= given.FILL
    outcome = search.outcome(found, case.limits)
    regrets = [truth.regret(row, case.limits) for row in found.rows]
    assert outcome['regret'] == regrets[0]
    first = truth.tests[found.rows[:8], 0]
    assert outcome['regret_of_first_8'] == regrets[int(first.argmax())]
    looked_up = outcome['finalists']
    first = truth.tests[looked_up, 0]
    chosen = looked_up[int(first.argmax())]
    assert outcome['regret_of_8'] == truth.regret(chosen, case.limits)
    if len(found.rows) == 8:
      assert sorted(looked_up) == sorted(found.rows)


def test_a_local_search_moves_to_what_is_better():
  """Its best is on average better than that of as many random networks."""
  cases = [_given(seed, q=0.7) for seed in range(30)]
  truth = table.load()

  def mean(method):
    found = [method(case).rows for case in cases]
    return np.mean([truth.tests[rows, 0].mean() for rows in found])

  assert mean(controls.by_local_search) > mean(controls.at_random)


def test_rows_go_on_after_a_kill(tmp_path):
  path = tmp_path / 'kept' / 'rows.jsonl'
  made = []

  def make(value):
    def row():
      made.append(value)
      return {'value': value}

    return row

  rows = Rows(path)
  assert rows.get('a', make(1)) == {'case': 'a', 'value': 1}
  rows.get('b', make(2))
  whole = path.read_text()
  path.write_text(whole + '{"case": "c", "val')
  again = Rows(path)
  assert path.read_text() == whole
  assert again.get('a', make(3))['value'] == 1
  assert again.get('c', make(4))['value'] == 4
  assert made == [1, 2, 4]
  assert [
    json.loads(line)['case'] for line in path.read_text().splitlines()
  ] == ['a', 'b', 'c']


def test_a_regression_of_additive_losses_is_exact():
  truth, rng = table.load(), np.random.default_rng(0)
  effects = rng.normal(size=(8, 3))
  losses = np.einsum('nco,co->n', truth.one_hot, effects)
  rows = rng.choice(len(losses), 2000, replace=False)
  found = rank.additive(rows, losses[rows], np.arange(len(losses)))
  found += losses.mean() - found.mean()
  np.testing.assert_allclose(found, losses, atol=0.02)


def test_taus_of_the_truth_are_one_and_of_noise_zero():
  truth, rng = table.load(), np.random.default_rng(0)
  perfect = {n: -truth.accuracy[rows] for n, rows in rank.networks().items()}
  noise = {n: rng.normal(size=len(x)) for n, x in perfect.items()}
  for found in rank.taus(perfect).values():
    assert found['raw'] == pytest.approx(1)
    assert 0.7 < found['regression'] <= 1
  for found in rank.taus(noise).values():
    assert abs(found['raw']) < 0.2
  assert rank.gates_of(perfect)['halves'] > 0.8
  assert rank.gates_of(perfect)['rises_with_macs'] > 0.2
  assert rank.gates_of(noise)['halves'] < 0.4
