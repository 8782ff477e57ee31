"""Flags become guards."""

import numpy as np
import pytest

from experiments import search
from experiments.flags import cli, configs
from nasjax import (
  guard,
  ops,
  spaces,
)
from nasjax.run import config as config_lib
from nasjax.run import (
  guards,
)
from nasjax.run.config import SearchConfig
from tests.conftest import refused


def test_a_space_without_skips_has_none_to_drop_or_count():
  given = cli.defaults(search.OPTIONS) | {'limit': ['macs=1M']}
  plain = spaces.mobile(
    [spaces.Stage(8, 2)],
    name='plain',
    image_size=8,
    num_classes=4,
    stem=4,
    stem_stride=2,
    head=16,
    candidates=(ops.MBConv(3, 1), ops.MBConv(3, 3)),
  )
  for name, value in (('skip_dropout', '0.1'), ('stop_skips', 1)):
    own = configs.of(SearchConfig, given | {name: value, 'relax': 'softmax'})
    refused(f'{name} has no effect: plain has', guards.of, own, plain)


@pytest.mark.parametrize('fairness', config_lib.FAIRNESS)
def test_flags_become_the_guards_that_they_name(fairness):
  given = {
    'relax': 'softmax',
    'fairness': fairness,
    'entropy': '80:0,240:0.16',
    'skip_dropout': '0:0.5,240:0.02',
    'eigenvalue_every': 10,
    'stop_eigenvalue': 0.75,
    'seed': 3,
  }
  if fairness == 'strict':  # One op at a time: no skip is mixed.
    del given['skip_dropout']
  config = cli.defaults(search.OPTIONS) | given
  made = guards.of(configs.of(SearchConfig, config), spaces.tiny())
  at = [float(made.guards.entropy(step)) for step in (0, 80, 120, 240)]
  assert at == pytest.approx([0, 0, 0.04, 0.16])
  if fairness != 'strict':
    assert float(made.guards.skip_dropout(120)) == pytest.approx(0.26)
  probs = {'a': np.array([0.5, 0.3, 0.2], np.float32)}
  wanted = {
    'none': lambda step: probs['a'],
    'uniform': lambda step: np.full(3, 1 / 3, np.float32),
    'strict': lambda step: guard.strict(probs, step, seed=3)['a'],
  }[fairness]
  for step in range(6):
    fair = made.guards.fairness or (lambda probs, step: probs)
    np.testing.assert_array_equal(fair(probs, step)['a'], wanted(step))
  assert [step for step in range(1, 41) if made.measures(step)] == [
    10,
    20,
    30,
    40,
  ]
  stop, alphas = made.rule.init({}), {}
  for i in range(13):  # Within the window of the default rule, and beyond.
    assert made.rule.verdict(stop) is None
    stop = made.rule.update(i, {'eigenvalue': 1.2**i}, alphas, stop)
    if i == 8:
      break
  assert made.rule.verdict(stop) is not None
