"""Fields of a configuration, documented where they are defined.

Scripts make their flags from these fields, and runs check the files of other
runs by them.
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

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


def _type_of(hint: Any) -> type:
  """`float` of `float | None`."""
  if isinstance(hint, types.UnionType):
    hint = next(one for one in hint.__args__ if one is not types.NoneType)
  return hint
