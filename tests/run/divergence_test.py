"""A run that is no longer finite ends, says why, and keeps what it had."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import search, train
from experiments.flags import cli
from nasjax import spaces
from nasjax.errors import DivergedError
from nasjax.run import (
  divergence,
)
from nasjax.run.workdir import diverged_file, metrics_file
from nasjax.space import argmax, init_alphas
from tests.conftest import refused
from tests.experiments.told_cases import search_run, train_as_told
from tests.run.run_cases import FEW


def _watch(most=0):
  return divergence.Watch(lambda bad: f'{bad.what} {bad.step}', most)


def test_the_first_loss_that_is_not_finite_is_named():
  watch = _watch()
  for step, loss in enumerate([1.0, 2.0, np.nan, np.nan], 1):
    watch.put(step, {'train_loss': np.float32(loss), 'other': np.nan})
  refused('^train_loss 3$', watch.look)


class _Busy:
  """A number that the device has not computed yet."""

  def __init__(self, value):
    self.value, self.ready = value, False

  def is_ready(self):
    return self.ready

  def __array__(self, dtype=None, copy=None):
    return np.asarray(self.value, np.float32)


def test_nothing_is_waited_for_unless_it_is_asked_for():
  watch, late = _watch(), _Busy(np.inf)
  watch.put(1, {'train_loss': late})
  watch.look()
  late.ready = True
  refused('^train_loss 1$', watch.look)
  watch = _watch()
  watch.put(1, {'train_loss': _Busy(np.inf)})
  refused('^train_loss 1$', watch.look, wait=True)


def test_steps_that_are_left_out_count_in_a_row():
  watch = _watch(most=2)
  for step, count in enumerate([0, 1, 2, 0, 1, 2], 1):
    loss = np.nan if count else 1.0
    watch.put(step, {'train_loss': loss, 'weights_skipped': count})
  watch.look()
  watch.put(7, {'train_loss': np.nan, 'weights_skipped': 3})
  refused('^weights_skipped 5$', watch.look)  # Since the first of them.


def test_a_state_is_looked_at_where_no_loss_tells():
  watch = _watch()
  key = jax.random.key(0)
  watch.check_state(4, {'a': jnp.ones(2), 'n': jnp.arange(3), 'key': key})
  bad = {'a': jnp.array([0.0, jnp.inf], jnp.bfloat16)}
  refused('^state 4$', watch.check_state, 4, bad)


SEARCH = {'space': 'tiny', 'limit': ['macs=60k'], 'batch_size': 16}
SEARCH |= {'steps': 12, 'warmup_steps': 4, 'log_every': 2}
SEARCH |= {'checkpoint_every': 2}
SOFTMAX = {'relax': 'softmax'}


@pytest.mark.drawn(1)
@pytest.mark.slow
@pytest.mark.parametrize(
  ('told', 'cause', 'last'),
  [
    (FEW | {'learning_rate': 1e30}, 'learning_rate', 4),
    (SOFTMAX | {'alpha_learning_rate': 1e38}, 'alpha_learning_rate', 8),
    (FEW | {'constraint': 'linear', 'strength': '1e38'}, 'strength', 8),
  ],
)
def test_a_search_that_diverges_says_so_when_it_does(
  tmp_path, told, cause, last
):
  config = cli.defaults(search.OPTIONS) | SEARCH | told
  match = f'the search diverged.*lower {cause} and'
  refused(match, search_run, config, tmp_path / 'run')
  names = {path.name for path in (tmp_path / 'run').iterdir()}
  assert 'architecture.json' not in names
  line = json.loads((tmp_path / 'run' / 'diverged.json').read_text())
  step = int(line['diverged'].partition('from step ')[2].split()[0])
  assert step <= last
  kept = (tmp_path / 'run').glob('checkpoints/[0-9]*')
  kept = [int(path.name) for path in kept if path.name.isdigit()]
  assert all(k < step for k in kept)
  # Typed again it says the same, at once.
  refused(match, search_run, config, tmp_path / 'run')


TRAIN = {'batch_size': 500}


@pytest.fixture
def network(tmp_path):
  """The file of a small network."""
  space = spaces.tiny(image_size=28)
  path = tmp_path / 'network.json'
  argmax(space, init_alphas(space)).save(path)
  return str(path)


@pytest.mark.slow
def test_a_training_that_diverges_has_no_accuracy(tmp_path, network):
  config = cli.defaults(train.OPTIONS) | TRAIN | {'architecture': network}
  config |= {'epochs': 2, 'learning_rate': 1e30}
  match = r'the training diverged.*from step \d+ of 20 on .*1e\+30'
  refused(match, train_as_told, config, tmp_path / 'run', '')
  left = {path.name for path in (tmp_path / 'run').iterdir()}
  assert not left & {'result.json', 'weights', 'best.json'}
  with pytest.raises(DivergedError):
    train_as_told(config, tmp_path / 'run', '')


@pytest.mark.slow
@pytest.mark.parametrize(('rate', 'ends'), [(0.05, True), (1e30, False)])
def test_a_training_counts_the_steps_that_it_leaves_out(
  tmp_path, network, rate, ends
):
  config = cli.defaults(train.OPTIONS) | TRAIN | {'learning_rate': rate}
  config |= {'architecture': network}
  config |= {'epochs': 1, 'skip_nonfinite': 2}
  if ends:
    train_as_told(config, tmp_path / 'run', '')
    rows = metrics_file.read(tmp_path / 'run')
    assert {row['weights_skipped'] for row in rows} == {0}
    return
  match = r'more than 2 steps in a row are not finite from step (\d+) of 10'
  refused(match, train_as_told, config, tmp_path / 'run', '')


@pytest.mark.parametrize(
  'text', ['', '[]', '{}', '{"diverged": 3}', '[' * 9999]
)
def test_a_damaged_record_of_a_divergence_is_one_line(tmp_path, text):
  assert diverged_file.read(tmp_path) is None
  (tmp_path / 'diverged.json').write_text(text)
  refused('diverged.json is ', diverged_file.read, tmp_path)
