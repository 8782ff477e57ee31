"""Files of runs: read, and checked before anything is made of them.

A run may come from a stranger, or its files may be damaged. Whoever reads one
says what it has to hold; an InputError names the file, the place in it and the
value. No module is imported because a file names it.

A *kind* is a function: it takes a value and returns what is wrong with it, in
words that follow the name of the value, or '' where nothing is.
"""

import pathlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

from nasjax import checks
from nasjax.errors import InputError
from nasjax.options import Options
from nasjax.run import record as record_lib

Kind = Callable[[Any], str]
_SHOWN = 60  # Characters of a value in a message.
_LARGEST = 2**63


def read(path: pathlib.Path, kind: Kind) -> Any:
  """Reads JSON of a kind.

  Raises:
    InputError: it cannot be read, is no JSON, or of another kind.
  """
  return hold(path, record_lib.read_json(path), kind)


def hold(path: pathlib.Path, value: Any, kind: Kind) -> Any:
  """The value, which was read from a file, if it is of a kind.

  Raises:
    InputError: it is of another.

  Example:
    >>> hold(pathlib.Path('best.json'), {'step': 3}, fields(step=whole))
    {'step': 3}
  """
  if wrong := kind(value):
    raise InputError(f'{path} is not what this version writes: it {wrong}')
  return value


def _not(value: Any, wanted: str) -> str:
  shown = repr(value)
  if len(shown) > _SHOWN:
    shown = f'{shown[:_SHOWN]}...'
  return f'is {shown} and must be {wanted}'


def anything(value: Any) -> str:
  """Of any kind."""
  return ''


def number(value: Any) -> str:
  """A finite number."""
  real = isinstance(value, int | float) and not isinstance(value, bool)
  right = real and -checks.LARGEST < value < checks.LARGEST
  return '' if right else _not(value, 'a finite number')


def integer(value: Any) -> str:
  """A whole number of 64 bits."""
  right = isinstance(value, int) and not isinstance(value, bool)
  right = right and -_LARGEST < value < _LARGEST
  return '' if right else _not(value, 'a whole number')


def whole(value: Any) -> str:
  """A whole number from 0."""
  right = not integer(value) and value >= 0
  return '' if right else _not(value, 'a whole number from 0')


def share(value: Any) -> str:
  """A number from 0 to 1."""
  right = not number(value) and 0 <= value <= 1
  return '' if right else _not(value, 'a number from 0 to 1')


def truth(value: Any) -> str:
  """True or false."""
  return '' if isinstance(value, bool) else _not(value, 'true or false')


def text(value: Any) -> str:
  """Text, such as Linux takes for the path of a file, in UTF-8 or not."""
  try:
    right = isinstance(value, str) and '\0' not in value
    right = right and bool(value.encode(errors='surrogateescape') or True)
  except UnicodeEncodeError:
    right = False
  return '' if right else _not(value, 'text')


def one_of(*known: str) -> Kind:
  """One of some words."""

  def kind(value):
    right = isinstance(value, str) and value in known
    return '' if right else _not(value, f'one of {", ".join(known)}')

  return kind


def maybe(kind: Kind) -> Kind:
  """Of a kind, or null."""
  return lambda value: '' if value is None else kind(value)


def either(one: Kind, other: Kind) -> Kind:
  """Of one of two kinds."""
  return lambda value: one(value) and other(value)


def both(one: Kind, other: Kind) -> Kind:
  """Of two kinds at once."""
  return lambda value: one(value) or other(value)


def each(kind: Kind, length: int | None = None) -> Kind:
  """A list, of some length."""
  wanted = 'a list' if length is None else f'a list of {length}'

  def of_list(value):
    if not isinstance(value, list) or length not in (None, len(value)):
      return _not(value, wanted)
    found = ((i, kind(one)) for i, one in enumerate(value))
    return next((_at(i, wrong) for i, wrong in found if wrong), '')

  return of_list


def values(kind: Kind, among: Collection[str] | None = None) -> Kind:
  """An object with values of a kind, and keys among some."""

  def of_object(value):
    if not isinstance(value, dict):
      return _not(value, 'a JSON object')
    for key, one in value.items():
      if among is not None and key not in among:
        return f'has {key!r}, which is none of {", ".join(among)}'
      if wrong := kind(one):
        return _at(key, wrong)
    return ''

  return of_object


def fields(**kinds: Kind) -> Kind:
  """An object with these fields; other fields are ignored.

  Example:
    >>> fields(step=whole)({'steps': 3})
    "has no 'step'"
    >>> fields(step=whole)({'step': -1})
    "has 'step', which is -1 and must be a whole number from 0"
  """
  return _object(kinds, needed=kinds)


def known(kinds: Mapping[str, Kind]) -> Kind:
  """An object in which some fields, where they are there, are of a kind."""
  return _object(kinds, needed=())


def _object(kinds: Mapping[str, Kind], needed: Collection[str]) -> Kind:
  def of_object(value):
    if not isinstance(value, dict):
      return _not(value, 'a JSON object')
    for key, kind in kinds.items():
      if key not in value:
        if key in needed:
          return f'has no {key!r}'
      elif wrong := kind(value[key]):
        return _at(key, wrong)
    return ''

  return of_object


def _at(key: str | int, wrong: str) -> str:
  return (
    f'has {key!r}, which {wrong}'
    if isinstance(key, str)
    else (f'has item {key}, which {wrong}')
  )


def flags(options: Options) -> Kind:
  """Values of flags, each of the type that the flag takes."""
  return known({name: _flag(default) for name, (default, _) in options.items()})


def _flag(default: Any) -> Kind:
  kind = default if isinstance(default, type) else type(default)
  taken = {
    bool: truth,
    int: integer,
    float: number,
    list: each(text),
    str: text,
    type(None): text,
  }[kind]
  unset = default is None or isinstance(default, type)
  return maybe(taken) if unset else taken
