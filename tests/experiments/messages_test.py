"""Fields that a message of the library names are flags where a script runs."""

import pytest
from absl import flags

from experiments.flags import cli


@pytest.fixture(autouse=True)
def some(monkeypatch):
  """A script with these flags alone."""
  own = flags.FlagValues()
  for name in ('steps', 'fairness', 'order', 'limit', 'width', 'dataset'):
    flags.DEFINE_string(name, None, '', flag_values=own)
  monkeypatch.setattr(flags, 'FLAGS', own)


@pytest.mark.parametrize(
  ('message', 'said'),
  [
    (
      'fairness=strict needs order=first: weights',
      '--fairness=strict needs --order=first: weights',
    ),
    ('set few, width=0.25: (steps=4)', 'set few, --width=0.25: (--steps=4)'),
    (
      'steps is 0; it must be at least 1',
      '--steps is 0; it must be at least 1',
    ),
    ('dataset=folder:a/steps=3 is', '--dataset=folder:a/steps=3 is'),
  ],
)
def test_a_field_with_its_value_is_a_flag(message, said):
  assert cli.flagged(message) == said


@pytest.mark.parametrize(
  'message',
  [
    'give --limit=macs=1.6M',  # A flag already, and a resource.
    'give one, such as macs=1.6M',
    'seed=3 is no flag of this script',
    'workdir /runs/steps=3 holds a run',
    "limit 'steps=3': unknown resource 'steps'",  # As it was typed.
    'unknown network "width=2"',
    'runs/a-width=0.5_steps=4.json: No such file',
    'the steps is 0; it must be at least 1',
    'seed is 0; it is no flag of this script',
    'steps = 3, steps=',
  ],
)
def test_all_else_stays_as_it_is(message):
  assert cli.flagged(message) == message


def test_a_flag_is_not_made_twice():
  once = cli.flagged('order=second needs steps=3')
  assert cli.flagged(once) == once == '--order=second needs --steps=3'
