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
  """A configuration from the values of flags; others are left out.

  Raises:
    InputError: a value out of its range.
  """
  return config(**options.parsed(config, values))
