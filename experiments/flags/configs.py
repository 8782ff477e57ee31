"""Flags made from the fields of a configuration, and back."""

from collections.abc import Mapping
from typing import Any, TypeVar

from nasjax import options
from nasjax.run.config import SearchConfig
from nasjax.train.recipe import Recipe

T = TypeVar('T')

RECIPE = options.of(Recipe)
SEARCH = options.of(SearchConfig)


def of(config: type[T], values: Mapping[str, Any]) -> T:
  """A configuration, with its groups, from values of flags.

  Flags that are no field are left out; fields without a flag have their
  defaults.

  Raises:
    InputError: a value out of its range.
  """
  return options.made(config, values)
