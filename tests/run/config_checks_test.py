"""Checks of the fields of a search that have to go together."""

import dataclasses

import pytest

from nasjax.run import config_checks
from nasjax.run.config import SearchConfig
from tests.conftest import refused

DEFAULT = SearchConfig()
CHECKS = [
  config_checks.check_schedule,
  config_checks.check_constraint,
  config_checks.check_names,
  config_checks.check_order,
  config_checks.check_learnt,
  config_checks.check_measurements,
]


@pytest.mark.parametrize('check', CHECKS)
def test_the_default_passes_every_check(check):
  check(DEFAULT)


@pytest.mark.parametrize(
  ('given', 'message'),
  [
    ({'warmup_steps': 240}, 'warmup_steps is 240; with steps 240 it must be'),
    ({'temperature': 1e-39}, 'temperature is 1e-39, which is 0 in single'),
    ({'constraint': 'hinge', 'dual_rate': 1.0}, 'dual_rate=1.0 has no effect'),
    ({'relax': 'x'}, "unknown relaxation 'x'"),
    ({'neumann_terms': 5}, 'neumann_terms=5 has no effect with order=first'),
    ({'fairness': 'strict', 'order': 'second'}, 'fairness=strict needs order'),
    ({'stop_skips': 2, 'warmup_steps': 235}, 'stop_skips=2 has no effect'),
    ({'stop_eigenvalue': 0.7}, 'stop_eigenvalue needs measurements'),
    ({'eigenvalue_every': 15}, 'eigenvalue_every is 15; it must be a multiple'),
  ],
)
def test_one_check_refuses_what_does_not_go_together(given, message):
  refused(message, dataclasses.replace, DEFAULT, **given)


@pytest.mark.parametrize('names', ['RELAXATIONS', 'FAIRNESS'])
def test_every_name_that_a_help_text_lists_is_taken(names):
  field = {'RELAXATIONS': 'relax', 'FAIRNESS': 'fairness'}[names]
  for name in getattr(config_checks, names):
    config_checks.check_names(dataclasses.replace(DEFAULT, **{field: name}))
