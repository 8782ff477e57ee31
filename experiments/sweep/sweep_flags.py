"""The flags of a sweep, and those of its searches."""

import contextlib
import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from nasjax import checks, options
from nasjax.errors import InputError
from nasjax.options import as_given, check_types, documented, group, option
from nasjax.run import holdout
from nasjax.train.recipe import Recipe

from .. import search
from ..flags import cli, configs, names, sources
from . import plan

ZOO = (
  'mobilenet_v1,mobilenet_v2,mobilenet_v3_large,mobilenet_v3_small,'
  'shufflenet_v2,mnasnet_a1,efficientnet_lite0'
)
# Flags of a search that are flags of the sweep, of the same name. The others
# have a prefix, as trainings have flags of the same names.
_SHARED = {*options.of(sources.Source), 'space', 'constraint', 'strength'}
_SHARED |= {'dual_rate', 'fill'}
_OWN = {'preset', 'limit', 'seed'}  # A sweep says these itself.
_OWN |= {'latency_table', 'deploy_dtype'}  # Its limits are on one of SWEPT.
_OWN |= {'stream', 'crop_area'}  # All jobs share images that are decoded.
_PREFIXED = [n for n in search.OPTIONS if n not in _SHARED | _OWN]
_MOST = 10_000  # Pieces of a kind: each is listed, and takes seconds at least.


_UNSET = cli.defaults(search.OPTIONS)


def _shared(name: str) -> Any:
  """A field for a flag of all searches, whose value is not parsed yet."""
  return option(_UNSET[name], search.OPTIONS[name][1])


def _prefixed(name: str) -> tuple[str, Any, Any]:
  """The `search_` field for a flag of all searches; not parsed yet."""
  default, text = search.OPTIONS[name]
  if default is None:
    kind = str
  else:
    kind = default if isinstance(default, type) else type(default)
  field = option(_UNSET[name], f'each search: {text}')
  return f'search_{name}', kind | None, field


Searches = dataclasses.make_dataclass(
  'Searches', [*map(_prefixed, _PREFIXED)], frozen=True
)


@documented
@dataclasses.dataclass(frozen=True)
class Flags:
  """What a sweep is told.

  Raises:
    InputError: a value out of its range, or an unknown network.
  """

  limits: str | None = option(
    None, 'limits on one resource, macs or params, such as macs=1M,2M,3M'
  )
  strengths: str | None = option(
    None, 'prices of MACs instead of limits, such as 0.1,0.3,1'
  )
  source: sources.Source = group(sources.Source())
  space: str = option('mobile_macro_small', search.OPTIONS['space'][1])
  constraint: str = _shared('constraint')
  strength: str | None = _shared('strength')
  dual_rate: str | None = _shared('dual_rate')
  fill: float = _shared('fill')
  ops: str | None = option(
    None, 'Python module with your ops, if --space uses them'
  )
  search_seeds: int = option(
    5, 'number of searches at the middle limit or strength'
  )
  outer_seeds: int | None = option(
    None,
    'number of searches at each other limit or strength; not given: as many '
    'as search_seeds',
  )
  train_seeds: int = option(2, 'number of trainings of each network')
  control_seeds: int = option(
    0,
    'number of controls at the middle limit: finalists chosen from untrained '
    'alphas, by the same procedure as in a search',
  )
  random: int = option(
    8, 'number of random architectures at the middle limit or strength'
  )
  outer_random: int | None = option(
    None,
    'number of random architectures at each other limit or strength; not '
    'given: as many as random',
  )
  zoo: str = option(
    ZOO, 'published networks, scaled to the middle limit or strength'
  )
  outer_zoo: str | None = option(
    None,
    'published networks, scaled to each other limit or strength; not '
    'given: those of zoo',
  )
  train_images: int | None = option(
    None,
    'number of training images to use, the same fraction of each class; not '
    'given: all',
  )
  valid_fraction: float = option(
    0.1,
    'fraction of the training images that is held out from all trainings, to '
    'choose the best published and the best hand-made network',
  )
  seed: int = option(0, 'first seed of the searches and of the trainings')
  recipe: Recipe = group(Recipe(epochs=14))
  searches: Searches = group(Searches())
  values: Mapping[str, Any] = as_given()

  def __post_init__(self):
    check_types(self)
    plan.levels(self.limits, self.strengths)
    _check_sizes(self.sizes)
    if self.strengths is not None:
      if self.constraint != 'linear':
        raise InputError(
          f'constraint={self.constraint} needs limits; with strengths, which '
          'are prices, give constraint=linear'
        )
      checks.refuse_ignored(self, ['strength'], 'with strengths')
    holdout.check_fraction(self.valid_fraction)
    if not self.valid_fraction:
      raise InputError(
        'valid_fraction is 0; images are needed that choose the best '
        'alternative'
      )
    if self.control_seeds and (
      self.limits is None or self.searches.search_finalists == 1
    ):
      raise InputError(
        f'control_seeds is {self.control_seeds}; without limits and '
        'search_finalists of 2 or more there are no finalists to choose from'
      )

  @property
  def levels(self) -> tuple[str, tuple[plan.Level, ...]]:
    """The resource, and the levels of it in rising order."""
    return plan.levels(self.limits, self.strengths)

  @property
  def sizes(self) -> plan.Sizes:
    """Number of searches, trainings and alternatives."""
    outer_seeds, outer_random, outer_zoo = (
      own if other is None else other
      for own, other in (
        (self.search_seeds, self.outer_seeds),
        (self.random, self.outer_random),
        (self.zoo, self.outer_zoo),
      )
    )
    return plan.Sizes(
      self.seed,
      self.search_seeds,
      outer_seeds,
      self.train_seeds,
      plan.Wanted(self.random, _names(self.zoo)),
      plan.Wanted(outer_random, _names(outer_zoo)),
      self.fill,
      self.control_seeds,
    )


OPTIONS = options.of(Flags)


def _check_sizes(sizes: plan.Sizes) -> None:
  """Raises InputError for a number out of its range."""
  one = {
    'search_seeds': sizes.search_seeds,
    'train_seeds': sizes.train_seeds,
    'outer_seeds': sizes.outer_seeds,
  }
  none = {
    'random': sizes.middle.randoms,
    'control_seeds': sizes.controls,
    'outer_random': sizes.outer.randoms,
  }
  checks.check_least(1, **one)
  checks.check_least(0, **none)
  for name, number in {**one, **none}.items():
    if number > _MOST:
      raise InputError(f'{name} is {number}; it must be at most {_MOST}')
  checks.check_seed(sizes.seed, max(*one.values(), sizes.controls))
  checks.check_fill(sizes.fill)


def _names(text: str) -> tuple[str, ...]:
  found = tuple(name for name in text.split(',') if name)
  for name in found:
    checks.lookup('network', name, names.NETWORKS)
  return found


def searches_of(told: Flags) -> search.Flags:
  """Flags that all searches share.

  Raises:
    InputError: a value out of its range.
  """
  own = {n: told.values[n] for n in search.OPTIONS if n in _SHARED}
  own |= {n: told.values[f'search_{n}'] for n in _PREFIXED}
  with naming_searches():
    return configs.of(search.Flags, own)


@contextlib.contextmanager
def naming_searches() -> Iterator[None]:
  """Errors name the flags of searches: `search_steps`, not `steps`."""
  fields = '|'.join(_PREFIXED)
  try:
    yield
  except InputError as e:
    named = re.sub(rf'(?<![\w-])({fields})(?==\S| is )', r'search_\1', str(e))
    raise InputError(named) from e
