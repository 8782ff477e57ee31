"""Checks of the fields of a search that have to go together."""

import dataclasses

import pytest

from nasjax import spaces
from nasjax.run import config_checks
from nasjax.run.config import SearchConfig
from tests.conftest import refused

DEFAULT = SearchConfig()
SCHEDULED = DEFAULT.scheduled(spaces.tiny().choices, 1000)
MIXTURE = SearchConfig(relax='softmax')
CHECKS = [
  config_checks.check_schedule,
  config_checks.check_constraint,
  config_checks.check_names,
  config_checks.check_sampling,
  config_checks.check_order,
  config_checks.check_learnt,
  config_checks.check_measurements,
  config_checks.check_measured,
]


@pytest.mark.parametrize('check', CHECKS)
def test_the_default_passes_every_check(check):
  check(SCHEDULED)
  check(MIXTURE)


@pytest.mark.parametrize(
  ('given', 'message'),
  [
    (
      {'steps': 240, 'warmup_steps': 240},
      'warmup_steps is 240; with steps 240 it must be 0 to 239',
    ),
    ({'temperature': 1e-39}, 'temperature is 1e-39, which is 0 in single'),
    ({'constraint': 'hinge', 'dual_rate': 1.0}, 'dual_rate=1.0 has no effect'),
    ({'relax': 'x'}, "unknown relaxation 'x'"),
    ({'neumann_terms': 5}, 'neumann_terms=5 has no effect with order=first'),
    ({'fairness': 'strict', 'order': 'second'}, 'fairness=strict needs order'),
    (
      {'stop_skips': 2, 'steps': 240, 'warmup_steps': 235},
      'stop_skips=2 has no effect',
    ),
    ({'stop_skips': 2, 'steps': 12}, 'learn for 8 steps .steps is 12, warmu'),
    (
      {'eigenvalue_every': 250},
      'with steps 240 and warmup_steps 80 it is measured 0',
    ),
    ({'stop_eigenvalue': 0.7}, 'stop_eigenvalue needs measurements'),
    ({'eigenvalue_every': 15}, 'eigenvalue_every is 15; it must be a multiple'),
  ],
)
def test_one_check_refuses_what_does_not_go_together(given, message):
  refused(message, dataclasses.replace, MIXTURE, **given)


@pytest.mark.parametrize(
  ('given', 'message'),
  [
    ({'steps': 1}, 'steps is 1; relax=contributions .* at least 2'),
    ({'steps': 0}, 'steps is 0; .* at least 2'),
    ({'steps': -1}, 'steps is -1; it must be at least 2'),
    ({'steps': 1, 'warmup_steps': 1}, 'steps is 1; .* at least 2'),
    ({'steps': 2**31}, 'steps is 2147483648; it must be at most 2147483647'),
    ({'warmup_steps': 0}, 'warmup_steps is 0; relax=contributions .* least 1'),
    ({'warmup_steps': -1}, 'warmup_steps is -1; it must be at least 1'),
    (
      {'steps': 5, 'warmup_steps': 5},
      'warmup_steps is 5; with steps 5 it must be 1 to 4',
    ),
    ({'weight_rate': 1.5}, 'weight_rate is 1.5; it must be 0 to 1'),
    ({'weight_rate': -0.1}, 'weight_rate is -0.1; it must be 0 to 1'),
    ({'weight_rate': float('nan')}, 'weight_rate is nan; it must be 0 to 1'),
    (
      {'weight_rate': 0.1, 'warmup_steps': 0},
      'warmup_steps is 0; weight_rate=0.1 needs .* at least 1',
    ),
    (
      {'networks': 7},
      'networks is 7; it must be at least networks_per_step, 8',
    ),
    ({'networks_per_step': 801}, 'networks_per_step is 801; .* networks, 800'),
    ({'networks_per_step': 0}, 'networks_per_step is 0; it must be at least 1'),
    ({'final_temperature': 0.5}, 'leave it out, or give relax=softmax'),
    ({'stop_eigenvalue': 7.0, 'eigenvalue_every': 10}, 'stop_eigenvalue is 7'),
    (
      {'stop_eigenvalue': 0.7, 'eigenvalue_every': 10},
      'relax=contributions derives from the networks judged last',
    ),
    ({'stop_eigenvalue': 0.7}, 'stop_eigenvalue needs measurements'),
    ({'eigenvalue_every': 15}, 'eigenvalue_every is 15; it must be a multiple'),
  ],
)
def test_the_default_relaxation_refuses_what_it_cannot_do(given, message):
  refused(message, dataclasses.replace, DEFAULT, **given)


@pytest.mark.parametrize(
  ('given', 'message'),
  [
    (
      {'relax': 'softmax', 'weight_rate': 0.0, 'steps': 1},
      'steps is 1; weight',
    ),
    (
      {'relax': 'softmax', 'weight_rate': 0.5, 'warmup_steps': 0},
      'warmup_steps is 0; weight_rate=0.5 needs .* at least 1',
    ),
    # The numbers of a mixture are known before its space is.
    ({'relax': 'gdas', 'entropy': '0:0,239:1'}, 'with steps 240 its last step'),
  ],
)
def test_mixtures_refuse_numbers_that_contradict(given, message):
  refused(message, SearchConfig, **given)


@pytest.mark.parametrize(
  ('given', 'message'),
  [
    ({'entropy': '0:0,1000:1'}, 'with steps 1225 its last step must be 1225'),
    (
      {'stop_skips': 1, 'networks': 72},
      r'alphas learn for 9 steps .steps is 1134, warmup_steps 1125.* 10 apart',
    ),
    ({'eigenvalue_every': 2000}, 'with steps 1225 and warmup_steps 1125 it is'),
  ],
)
def test_steps_of_the_rule_are_checked_once_they_are_known(given, message):
  config = SearchConfig(**given)
  refused(message, config.scheduled, spaces.tiny().choices, 1000)


@pytest.mark.parametrize('names', ['RELAXATIONS', 'FAIRNESS'])
def test_every_name_that_a_help_text_lists_is_taken(names):
  field = {'RELAXATIONS': 'relax', 'FAIRNESS': 'fairness'}[names]
  for name in getattr(config_checks, names):
    config_checks.check_names(dataclasses.replace(DEFAULT, **{field: name}))
