"""Fields of a configuration, documented where they are defined.

Scripts make their flags from these fields, and runs check the files of other
runs by them.
"""

import dataclasses
import numbers
import types
import typing
from collections.abc import Callable, Mapping
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


def group(default: Any) -> Any:
  """A field that is a configuration of its own.

  Its fields are options beside those of the outer configuration.

  Args:
    default: a configuration; its values are the defaults of the options.

  Example:
    >>> @dataclasses.dataclass(frozen=True)
    ... class Recipe:
    ...   epochs: int = option(6, 'passes over the training images')
    >>> @dataclasses.dataclass(frozen=True)
    ... class Told:
    ...   recipe: Recipe = group(Recipe(epochs=14))
    >>> of(Told)['epochs'][0], made(Told, {'epochs': 3}).recipe.epochs
    (14, 3)
  """
  return dataclasses.field(default=default, metadata={'group': True})


def as_given() -> Any:
  """A field that keeps a value of every option as it was given.

  `made` fills it: option to value, texts not parsed, groups included.
  """
  return dataclasses.field(
    default_factory=dict, repr=False, compare=False, metadata={'given': True}
  )


def documented(config: type[T]) -> type[T]:
  """Adds the fields' texts and defaults to a dataclass's docstring."""
  lines = [(config.__doc__ or '').rstrip(), '', '  Attributes:']
  for field in dataclasses.fields(typing.cast(Any, config)):
    if 'text' in field.metadata:
      text, default = field.metadata['text'], field.default
      lines.append(f'    {field.name}: {text} (default: {default!r}).')
    elif 'group' in field.metadata:
      kind = type(field.default).__name__
      lines.append(f'    {field.name}: see `{kind}`.')
    elif 'given' in field.metadata:
      lines.append(f'    {field.name}: all options as they were given.')
  config.__doc__ = '\n'.join(lines)
  return config


def of(config: Any) -> Options:
  """The options that stand for fields of a configuration.

  Args:
    config: a dataclass whose fields are `option`s and `group`s of them; or one
      object of it, whose values are the defaults.

  Example:
    >>> @dataclasses.dataclass(frozen=True)
    ... class Config:
    ...   epochs: int = option(6, 'passes over the training images')
    ...   dropout: float | None = option(None, 'before the classifier')
    >>> of(Config)['dropout'], of(Config)['epochs'][0]
    ((<class 'float'>, 'before the classifier'), 6)
  """
  kind = config if isinstance(config, type) else type(config)
  hints = typing.get_type_hints(kind)
  found: dict[str, tuple[Any, str]] = {}
  for field in dataclasses.fields(kind):
    default = field.default if config is kind else getattr(config, field.name)
    if 'group' in field.metadata:
      found |= of(default)
    if 'text' not in field.metadata:
      continue
    if default is None and field.metadata['parse'] is None:
      wanted = _type_of(hints[field.name])
      default = wanted if wanted is not str else None
    if isinstance(default, tuple):
      default = list(default)
    found[field.name] = default, field.metadata['text']
  return found


def defaults(options: Options) -> dict[str, Any]:
  """What the options are if nothing is given.

  Example:
    >>> defaults({'epochs': (6, 'passes'), 'dropout': (float, 'a rate')})
    {'epochs': 6, 'dropout': None}
  """
  return {
    name: None if isinstance(default, type) else default
    for name, (default, _) in options.items()
  }


def parsed(config: Any, given: Mapping[str, Any]) -> dict[str, Any]:
  """Values of options as a configuration takes them.

  Args:
    config: a dataclass whose fields are `option`s.
    given: option to value; those that are no field are left out.

  Raises:
    InputError: a text that its option cannot parse.
  """
  found = {}
  for field in dataclasses.fields(config):
    if 'text' not in field.metadata or field.name not in given:
      continue
    value, parse = given[field.name], field.metadata['parse']
    if parse is not None and isinstance(value, str):
      value = parse(value, field.name)
    found[field.name] = tuple(value) if isinstance(value, list) else value
  return found


def made(config: type[T], given: Mapping[str, Any]) -> T:
  """A configuration, with its groups, from values of options.

  Args:
    config: a dataclass of `option`s, `group`s and `as_given`.
    given: option to value; the others have their defaults, and what is no
      option is left out.

  Raises:
    InputError: a text that its option cannot parse, or a value out of its
      range.

  Example:
    >>> @dataclasses.dataclass(frozen=True)
    ... class Config:
    ...   epochs: int = option(6, 'passes over the training images')
    >>> made(Config, {'epochs': 3, 'width': 2.0})
    Config(epochs=3)
  """
  return config(**_values(config, given))


def _values(config: Any, given: Mapping[str, Any]) -> dict[str, Any]:
  """Fields of a dataclass, or of an object of it, that follow from options."""
  found: dict[str, Any] = {}
  for field in dataclasses.fields(config):
    if 'group' in field.metadata:
      own = getattr(config, field.name)
      found[field.name] = dataclasses.replace(own, **_values(own, given))
    elif 'given' in field.metadata:
      unset = defaults(of(config))
      found[field.name] = {n: given.get(n, unset[n]) for n in unset}
  return {**found, **parsed(config, given)}


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
