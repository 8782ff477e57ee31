"""The loop of a run: metrics, checkpoints, rules that stop it."""

import json
from typing import NamedTuple

import chex
import jax
import numpy as np
import pytest

from nasjax import (
  guard,
)
from nasjax.run import (
  loop,
  search_loop,
)
from nasjax.run.workdir import metrics_file
from tests.run.run_cases import Alphas


# What the loop keeps.
def test_metrics_past_the_checkpoint_are_cut_back(tmp_path):
  rows = [{'step': i, 'x': i / 3} for i in (3, 6, 9)]
  text = ''.join(json.dumps(r) + '\n' for r in rows) + '{"step": 12, "x'
  (tmp_path / 'metrics.jsonl').write_text(text)
  metrics_file.cut(tmp_path, 6)
  assert metrics_file.read(tmp_path) == rows[:2]


class _Count(NamedTuple):
  step: jax.Array


def test_a_run_stops_where_it_is_told_and_stays_there(tmp_path):
  taken = []

  def run(until):
    def advance(state, step):
      taken.append(step)
      return _Count(state.step + 1), {'x': 0.5}

    return loop.run(
      loop.in_workdir(tmp_path, 'it', 5),
      _Count(jax.numpy.int32(0)),
      advance,
      steps=20,
      log_every=5,
      checkpoint_every=7,
      describe=lambda metrics: '',
      name='count',
      stopped=lambda state: int(state.step) >= until,
    )

  assert int(run(11).step) == 11
  assert int(run(11).step) == 11
  assert taken == list(range(1, 12))
  # The last step has a line and a checkpoint, whichever it is.
  assert [row['step'] for row in metrics_file.read(tmp_path)] == [5, 10, 11]
  assert int(run(99).step) == 20
  assert taken == list(range(1, 21))


class _Read:
  """A metric on a device: says when it is read."""

  def __init__(self, step, said):
    self.step, self.said = step, said

  def __array__(self, dtype=None, copy=None):
    self.said.append(f'read {self.step}')
    return np.asarray(self.step, np.float32)


def test_a_metric_is_read_when_the_device_has_the_next_step(tmp_path):
  """Once each, and none that no line holds: nothing else is waited for."""
  said = []

  def advance(state, step):
    said.append(f'call {step}')
    return _Count(state.step + 1), {'x': _Read(step, said)}

  loop.run(
    loop.in_workdir(tmp_path, 'it', 2),
    _Count(jax.numpy.int32(0)),
    advance,
    steps=7,
    log_every=2,
    checkpoint_every=4,
    describe=lambda metrics: '',
    name='late',
  )
  # Before a checkpoint, every line up to it is written.
  order = 'call 1, call 2, call 3, read 2, call 4, read 4, call 5, call 6, '
  assert ', '.join(said) == order + 'call 7, read 6, read 7'
  rows = metrics_file.read(tmp_path)
  assert [(r['step'], r['x']) for r in rows] == [(i, i) for i in (2, 4, 6, 7)]


def test_what_a_rule_has_seen_survives_a_kill(tmp_path):
  """Measurements and the alphas to return to, too: bit for bit."""
  rule = guard.any_of(
    guard.too_many_skips(1, patience=99), guard.rising_curvature()
  )

  def run(workdir, killed=None):
    def advance(run, step):
      if step == killed:
        raise KeyboardInterrupt
      after = jax.tree.map(lambda x: x + 1, run.search)
      metrics = {'skips': jax.numpy.int32(1)}
      if step % 2 == 0:
        metrics['eigenvalue'] = jax.numpy.float32(1.1**step)
      stop = rule.update(step, metrics, after.alphas, run.stop)
      return search_loop.Run(after, stop), metrics

    start = Alphas(jax.numpy.int32(0), {'a': jax.numpy.zeros(3)})
    workdir.mkdir(exist_ok=True)
    return loop.run(
      loop.in_workdir(workdir, 'it', 1),
      search_loop.Run(start, rule.init(start.alphas)),
      advance,
      steps=40,
      log_every=1,
      checkpoint_every=3,
      describe=lambda metrics: '',
      name='rule',
      stopped=lambda run: rule.verdict(run.stop) is not None,
    )

  whole = run(tmp_path / 'whole')
  with pytest.raises(KeyboardInterrupt):
    run(tmp_path / 'killed', killed=12)
  again = run(tmp_path / 'killed')
  # Nine measurements, one every second step; back by six of them.
  assert int(whole.step) == 18
  assert rule.verdict(again.stop).step == 6
  assert rule.verdict(again.stop).alphas['a'].tolist() == [6.0] * 3
  chex.assert_trees_all_equal(whole, again)
  first, second = (
    tmp_path / name / 'metrics.jsonl' for name in ('whole', 'killed')
  )
  assert first.read_text() == second.read_text()
