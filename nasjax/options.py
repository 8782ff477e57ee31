"""Fields of a configuration, documented where they are defined.

Scripts make their flags from these fields, and runs check the files of other
runs by them.
"""

import dataclasses
import numbers
import types
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from nasjax.errors import InputError

T = TypeVar('T')

# Name to `(default, text)`; instead of a default of None stands the type.
Options = Mapping[str, tuple[Any, str]]


def option(
  default: Any, text: str, *, parse: Callable[[str, str], Any] | None = None
) -> Any:
  """A field of a frozen dataclass with its help text.

  Args:
    default: its value where nothing is given.
    text: one or two lines: what it is, with its unit.
    parse: `(text, name) -> value`, for a value that is typed as a text and is
      neither a number nor a word.

  Example:
    >>> @documented
    ... @dataclasses.dataclass(frozen=True)
    ... class Config:
    ...   '''How to train.'''
    ...   epochs: int = option(6, 'passes over the training images')
    >>> Config().epochs
    6
  """
  return dataclasses.field(
    default=default, metadata={'text': text, 'parse': parse}
  )


def documented(config: type[T]) -> type[T]:
  """Adds the fields' texts and defaults to a dataclass's docstring."""
  lines = [(config.__doc__ or '').rstrip(), '', '  Attributes:']
  for name, (default, text) in of(config).items():
    default = None if isinstance(default, type) else default
    lines.append(f'    {name}: {text} (default: {default!r}).')
  config.__doc__ = '\n'.join(lines)
  return config


def of(config: type, names: Collection[str] | None = None) -> Options:
  """The options that stand for fields of a configuration.

  Args:
    config: a dataclass whose fields are `option`s.
    names: which fields; None is all.

  Example:
    >>> @dataclasses.dataclass(frozen=True)
    ... class Config:
    ...   epochs: int = option(6, 'passes over the training images')
    ...   dropout: float | None = option(None, 'before the classifier')
    >>> of(Config)['dropout'], of(Config)['epochs'][0]
    ((<class 'float'>, 'before the classifier'), 6)
  """
  hints = typing.get_type_hints(config)
  found = {}
  for field in dataclasses.fields(config):
    if names is not None and field.name not in names:
      continue
    default = field.default
    if default is None and field.metadata['parse'] is None:
      kind = _type_of(hints[field.name])
      default = kind if kind is not str else None
    found[field.name] = default, field.metadata['text']
  return found


def parsed(config: type, given: Mapping[str, Any]) -> dict[str, Any]:
  """Values of options as a configuration takes them.

  Args:
    config: a dataclass whose fields are `option`s.
    given: option to value; those that are no field are left out.

  Raises:
    InputError: a text that its option cannot parse.
  """
  found = {}
  for field in dataclasses.fields(config):
    if field.name not in given:
      continue
    value, parse = given[field.name], field.metadata['parse']
    if parse is not None and isinstance(value, str):
      value = parse(value, field.name)
    found[field.name] = value
  return found


def check_types(config: Any) -> None:
  """Checks the types of a configuration's plain fields.

  Numbers, words, truth values and None are checked; fields that may be anything
  else, such as a function, check themselves.

  Raises:
    InputError: a field of another type, with its name and value.

  Example:
    >>> @dataclasses.dataclass(frozen=True)
    ... class Config:
    ...   epochs: int = 6
    >>> check_types(Config(epochs=3))
  """
  for name, hint in typing.get_type_hints(type(config)).items():
    kinds = hint.__args__ if isinstance(hint, types.UnionType) else (hint,)
    value = getattr(config, name)
    if not all(kind in _PLAIN for kind in kinds):
      continue
    if not any(_is_of(value, kind) for kind in kinds):
      wanted = ' or '.join(_PLAIN[kind] for kind in kinds)
      raise InputError(f'{name} is {value!r}; it must be {wanted}')


_PLAIN = {
  bool: 'true or false',
  int: 'a whole number',
  float: 'a number',
  str: 'a word',
  types.NoneType: 'None',
}


def _is_of(value: Any, kind: type) -> bool:
  if kind is int:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
  if kind is float:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
  return isinstance(value, kind)


def _type_of(hint: Any) -> type:
  """`float` of `float | None`."""
  if isinstance(hint, types.UnionType):
    hint = next(one for one in hint.__args__ if one is not types.NoneType)
  return hint
