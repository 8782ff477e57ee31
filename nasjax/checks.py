"""Checks of numbers and names that a user gives; bad ones are InputErrors.

A message names the field, the value and what would be right.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from nasjax.errors import InputError

T = TypeVar('T')

# Numbers are computed with in single precision, and have to be finite there.
LARGEST = 3.4e38
LARGEST_COUNT = 2**31 - 1  # Steps are counted in 32 bits.
_SUFFIXES = {'k': 1e3, 'M': 1e6, 'G': 1e9}
_KB = {'B': 1e-3, 'kB': 1, 'MB': 1e3, 'KiB': 1.024, 'MiB': 1048.576}
# Resource to the units that its numbers may have, each in the resource's own.
_UNITS: Mapping[str, Mapping[str, float]] = {
  'memory': {'B': 1, 'kB': 1e3, 'MB': 1e6, 'KiB': 2**10, 'MiB': 2**20},
  'size_kb': _KB,
  'ram_kb': _KB,
  'latency_ms': {'us': 1e-3, 'ms': 1, 's': 1e3},
}


def lookup(kind: str, name: str, known: Mapping[str, T]) -> T:
  """`known[name]`, or an InputError that lists what is known.

  Example:
    >>> lookup('space', 'a', {'a': 1})
    1
  """
  if name not in known:
    raise InputError(f'unknown {kind} {name!r}; choose from {", ".join(known)}')
  return known[name]


def parse_number(
  text: str, what: str, units: Mapping[str, float] | None = None
) -> float:
  """A number as people write it: 300000, 3e5, 300k, 0.3M.

  Args:
    text: what was typed.
    what: it is of, for messages.
    units: names of units that may follow the number, and their factors.

  Raises:
    InputError: it is no number, or of another unit.

  Example:
    >>> parse_number('300k', 'limit')
    300000.0
    >>> parse_number('2.5s', 'limit', {'ms': 1, 's': 1000})
    2500.0
  """
  units = units or {}
  suffixes = sorted({**_SUFFIXES, **units}, key=len, reverse=True)
  suffix = next((s for s in suffixes if text.endswith(s)), '')
  factor = {**_SUFFIXES, **units}.get(suffix, 1)
  try:
    return float(text.removesuffix(suffix)) * factor
  except ValueError:
    written = ['20e6', '20M', *(f'20{unit}' for unit in units)]
    raise InputError(
      f'{what}: {text!r} is no number; write it as '
      f'{", ".join(written[:-1])} or {written[-1]}'
    ) from None


def parse_limits(
  texts: Sequence[str], resources: Sequence[str]
) -> dict[str, float]:
  """Limits as typed, `resource=number`, with k, M or G as factors.

  Bytes may be in B, kB, MB, KiB or MiB, and times in us, ms or s.

  Raises:
    InputError: no resource or an unknown one, no number, not positive, or a
      resource that is limited twice.

  Example:
    >>> parse_limits(['macs=1.5M', 'params=2e5'], ['macs', 'params'])
    {'macs': 1500000.0, 'params': 200000.0}
  """
  limits = {}
  for text in texts:
    resource, equals, number = text.partition('=')
    if not equals:
      raise InputError(
        f'limit {text!r} names no resource; write it as {resources[0]}=20e6 '
        f'(resources: {", ".join(resources)})'
      )
    if resource not in resources:
      raise InputError(
        f'limit {text!r}: unknown resource {resource!r}; choose from '
        f'{", ".join(resources)}'
      )
    if resource in limits:
      raise InputError(f'two limits on {resource}: give one')
    units = _UNITS.get(resource)
    limits[resource] = parse_number(number, f'limit {text!r}', units)
    if not 0 < limits[resource] < LARGEST:
      raise InputError(f'limit {text!r} is not positive and finite')
  return limits


def check_least(least: int, **numbers: int) -> None:
  """Raises InputError where a named count is smaller, or larger than 32 bits.

  Example:
    >>> check_least(1, steps=240)
  """
  for name, number in numbers.items():
    if number < least:
      raise InputError(f'{name} is {number}; it must be at least {least}')
    if number > LARGEST_COUNT:
      raise InputError(
        f'{name} is {number}; it must be at most {LARGEST_COUNT}'
      )


def check_seed(seed: int, runs: int = 1) -> None:
  """Raises InputError unless JAX tells a seed from all others.

  Args:
    seed: JAX uses 32 bits of it: larger ones would repeat smaller ones.
    runs: how many runs use it and those after it.

  Example:
    >>> check_seed(0)
  """
  most = 2**32 - runs
  if not 0 <= seed <= most:
    raise InputError(f'seed is {seed}; it must be 0 to {most}')


def check_positive(**numbers: float) -> None:
  """Raises InputError where one of some named numbers is not above 0.

  Example:
    >>> check_positive(learning_rate=0.1)
  """
  for name, number in numbers.items():
    if not 0 < number < LARGEST:
      raise InputError(f'{name} is {number}; it must be positive and finite')


def check_not_negative(**numbers: float) -> None:
  """Raises InputError where one of some named numbers is below 0.

  Example:
    >>> check_not_negative(weight_decay=0.0)
  """
  for name, number in numbers.items():
    if not 0 <= number < LARGEST:
      raise InputError(f'{name} is {number}; it must be 0 or more and finite')


def check_fill(fill: float) -> None:
  """Raises InputError unless `fill` is a share.

  Example:
    >>> check_fill(0.98)
  """
  if not 0 <= fill <= 1:
    raise InputError(f'fill is {fill}; it must be 0 to 1')


def check_image_edge(image_size: int | None) -> None:
  """Raises InputError unless images can be resized to squares of this edge.

  Args:
    image_size: in pixels; None keeps the size of the images.

  Example:
    >>> check_image_edge(224)
  """
  if image_size is not None:
    check_least(1, image_size=image_size)


def check_test_fraction(test_fraction: float) -> None:
  """Raises InputError unless a fraction leaves images on both sides.

  Example:
    >>> check_test_fraction(0.2)
  """
  if not 0 < test_fraction < 1:
    raise InputError(
      f'test_fraction is {test_fraction}; it must be between 0 and 1'
    )


def refuse_ignored(
  config: Any,
  ignored: Iterable[str],
  why: str,
  instead: str = 'leave it out',
) -> None:
  """Raises InputError where a field was given that nothing would read.

  Args:
    config: a dataclass whose fields have defaults.
    ignored: the fields without effect.
    why: as in "with order=first".
    instead: what to do about it.

  Example:
    >>> @dataclasses.dataclass
    ... class Config:
    ...   width: float = 1.0
    >>> refuse_ignored(Config(), ['width'], 'here')
  """
  defaults = {f.name: f.default for f in dataclasses.fields(config)}
  for name in ignored:
    given = getattr(config, name)
    if given != defaults[name]:
      raise InputError(f'{name}={given} has no effect {why}; {instead}')
