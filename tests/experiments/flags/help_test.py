"""Every flag has its line of help."""

import pytest

from experiments import search
from experiments.flags import cli
from nasjax import (
  constraint,
)
from nasjax.run import config as config_lib
from nasjax.search import hypergradient
from tests.experiments.script_cases import finish, start


@pytest.mark.slow
def test_help_lists_the_flags():
  _, out, err = finish(start('search', '--help'))
  named = [*search.OPTIONS, 'workdir', 'compile_cache']
  plain = out.replace('--[no]', '--')
  assert all(f'--{name}:' in plain for name in named)
  words = ' '.join(out.split())
  kinds = config_lib.SUPERNETS
  orders, relaxations = hypergradient.ORDERS, config_lib.RELAXATIONS
  forms = constraint.FORMS
  for known in (orders, config_lib.FAIRNESS, relaxations, kinds, forms):
    assert cli.one_of(known) in words
  assert not err
