"""`--preset=NAME` sets flags; what is typed beside it counts more."""

from collections.abc import Mapping
from typing import Any

from nasjax import checks

from . import cli
from .published import SEARCH, TRAIN, Preset

__all__ = ['SEARCH', 'TRAIN', 'applied', 'text']

# Numbers that go with what a flag names, and mean nothing beside another.
_OF = {
  'optimizer': ('momentum', 'rms_decay', 'rms_epsilon'),
  'schedule': ('stair_epochs', 'stair_factor'),
  'constraint': ('strength',),
}


def applied(
  config: Mapping[str, Any],
  given: Mapping[str, Any],
  presets: Mapping[str, Preset],
) -> dict[str, Any]:
  """Flags with those of `--preset`; what was typed counts more.

  Where a network or an architecture was typed, no preset's network counts; nor
  do, where another optimizer, schedule or constraint was, the numbers of its.

  Args:
    config: a value for every option.
    given: those that were typed.
    presets: what `--preset` is one of.

  Raises:
    InputError: there is no such preset.

  Example:
    >>> config = {'preset': 'fbnet', 'epochs': 6, 'batch_size': 32}
    >>> found = applied(config, {'batch_size': 64}, TRAIN)
    >>> found['epochs'], found['batch_size'], found['learning_rate']
    (360, 64, 0.1)
  """
  if config['preset'] is None:
    return dict(config)
  flags = dict(checks.lookup('preset', config['preset'], presets).flags)
  if 'architecture' in given:
    flags.pop('network', None)
  for name, numbers in _OF.items():
    if name in flags and given.get(name, flags[name]) != flags[name]:
      flags = {k: v for k, v in flags.items() if k not in numbers}
  return {**config, **flags, **given}


def text(presets: Mapping[str, Preset]) -> str:
  """Help text of `--preset`."""
  return f'a published recipe, {cli.one_of(presets)}'
