"""Every flag has its line of help, and `--help` shows the flags there are."""

import re

import pytest

from experiments import search
from experiments.flags import cli, early
from experiments.flags import help as help_lib
from nasjax import constraint
from nasjax.run import config as config_lib
from tests.experiments.script_cases import finish, start


@pytest.mark.slow
def test_help_lists_the_flags():
  _, out, err = finish(start('search', '--help'))
  named = [*search.OPTIONS, 'workdir', 'compile_cache']
  for name in named:
    assert re.search(rf'^  --{name}(=| |$)', out, re.MULTILINE), name
  words = ' '.join(out.split())
  kinds = config_lib.SUPERNETS
  orders, relaxations = config_lib.ORDERS, config_lib.RELAXATIONS
  forms = constraint.FORMS
  for known in (orders, config_lib.FAIRNESS, relaxations, kinds, forms):
    assert cli.one_of(known) in words
  assert not err


@pytest.mark.parametrize('script', help_lib.SCRIPTS)
def test_the_kept_help_is_that_of_the_flags(script):
  # If it fails: python -m experiments.flags.help
  assert early.help_of(script) == help_lib.text(script)
