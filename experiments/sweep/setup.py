"""The flags of a sweep, and the objects that are made from them."""

import contextlib
import dataclasses
import pathlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from nasjax import checks, data
from nasjax.cost import RESOURCES
from nasjax.data import split
from nasjax.errors import InputError
from nasjax.run import (
  datasets,
  holdout,
  limits,
)
from nasjax.run import record as record_lib
from nasjax.space import Space
from nasjax.train.recipe import Recipe

from .. import search
from ..flags import (
  cli,
  configs,
  names,
  sources,
)
from . import plan
from .setting import Setting, config_of

ZOO = (
  'mobilenet_v1,mobilenet_v2,mobilenet_v3_large,mobilenet_v3_small,'
  'shufflenet_v2,mnasnet_a1,efficientnet_lite0'
)
# What a member is told by flags of the same name; all others have a prefix, as
# trainings have flags of the same names.
_SHARED = {*sources.OPTIONS, 'space', 'constraint', 'strength', 'dual_rate'}
_SHARED |= {'fill'}
_OWN = {'preset', 'limit', 'seed'}  # A sweep says these itself.
_OWN |= {*sources.STREAM_OPTIONS}  # All jobs share images that are decoded.
_OUTER = {'search_seeds': 'outer_seeds', 'random': 'outer_random'}
_OUTER |= {'zoo': 'outer_zoo'}
_MOST = 10_000  # Pieces of a kind: each is listed, and takes seconds at least.
_PREFIXED = [n for n in search.OPTIONS if n not in _SHARED | _OWN]

OPTIONS = {
  'limits': (
    None,
    'limits on one resource, macs or params, such as macs=1M,2M,3M',
  ),
  'strengths': (None, 'prices of MACs instead of limits, such as 0.1,0.3,1'),
  **{name: search.OPTIONS[name] for name in search.OPTIONS if name in _SHARED},
  'space': ('mobile_macro_small', search.OPTIONS['space'][1]),
  'ops': (None, 'Python module with your ops, if --space uses them'),
  'search_seeds': (5, 'number of searches at the middle limit or strength'),
  'outer_seeds': (
    int,
    'number of searches at each other limit or strength; not given: as many '
    'as search_seeds',
  ),
  'train_seeds': (2, 'number of trainings of each network'),
  'control_seeds': (
    0,
    'number of controls at the middle limit: finalists chosen from untrained '
    'alphas, by the same procedure as in a search',
  ),
  'random': (
    8,
    'number of random architectures at the middle limit or strength',
  ),
  'outer_random': (
    int,
    'number of random architectures at each other limit or strength; not '
    'given: as many as random',
  ),
  'zoo': (ZOO, 'published networks, scaled to the middle limit or strength'),
  'outer_zoo': (
    None,
    'published networks, scaled to each other limit or strength; not '
    'given: those of zoo',
  ),
  'train_images': (
    int,
    'number of training images to use, the same fraction of each class; not '
    'given: all',
  ),
  'valid_fraction': (
    0.1,
    'fraction of the training images that is held out from all trainings, to '
    'choose the best published and the best hand-made network',
  ),
  'seed': (0, 'first seed of the searches and of the trainings'),
  **configs.RECIPE,
  'epochs': (14, configs.RECIPE['epochs'][1]),
  **{
    f'search_{name}': (default, f'each search: {text}')
    for name, (default, text) in search.OPTIONS.items()
    if name in _PREFIXED
  },
}


def search_config(config: dict[str, Any]) -> dict[str, Any]:
  """Flags that all searches share."""
  own = {n: config[n] for n in search.OPTIONS if n in _SHARED}
  own |= {name: config[f'search_{name}'] for name in _PREFIXED}
  return cli.defaults(search.OPTIONS) | own


def sizes_of(config: dict[str, Any]) -> plan.Sizes:
  """Number of searches, trainings and alternatives of a sweep.

  Raises:
    InputError: a number out of its range, or an unknown network.
  """
  outer = {
    name: config[name] if config[other] is None else config[other]
    for name, other in _OUTER.items()
  }
  one = {name: config[name] for name in ('search_seeds', 'train_seeds')}
  none = {name: config[name] for name in ('random', 'control_seeds')}
  one['outer_seeds'] = outer['search_seeds']
  none['outer_random'] = outer['random']
  checks.check_least(1, **one)
  checks.check_least(0, **none)
  for name, number in {**one, **none}.items():
    if number > _MOST:
      raise InputError(f'{name} is {number}; it must be at most {_MOST}')
  seeds = 'search_seeds', 'train_seeds', 'control_seeds'
  runs = [config[name] for name in seeds] + [outer['search_seeds']]
  checks.check_seed(config['seed'], max(runs))
  checks.check_fill(config['fill'])
  wanted = [
    plan.Wanted(own['random'], _names(own['zoo'])) for own in (config, outer)
  ]
  return plan.Sizes(
    config['seed'],
    config['search_seeds'],
    outer['search_seeds'],
    config['train_seeds'],
    *wanted,
    config['fill'],
    config['control_seeds'],
  )


def _names(text: str) -> tuple[str, ...]:
  found = tuple(name for name in text.split(',') if name)
  for name in found:
    checks.lookup('network', name, names.NETWORKS)
  return found


class Prepared(NamedTuple):
  """The objects that the flags name; nothing is written yet.

  Attributes:
    levels: limits or strengths.
    sizes: how much there is to do.
    setting: of the jobs; its workdir is not claimed.
    space: that is searched, at the sizes of the images.
    all_images: training images that there are.
    content: what tells data and space from others of the same names.
  """

  levels: tuple[plan.Level, ...]
  sizes: plan.Sizes
  setting: Setting
  space: Space
  all_images: int
  content: dict[str, str]


def prepare(
  config: dict[str, Any], workdir: str | pathlib.Path, command: str
) -> Prepared:
  """Flags to objects; writes nothing.

  Raises:
    InputError: bad input.
  """
  resource, levels = plan.levels(config['limits'], config['strengths'])
  sizes, recipe = sizes_of(config), configs.of(Recipe, config)
  if config['strengths'] is not None:
    if config['constraint'] != 'linear':
      raise InputError(
        f'constraint={config["constraint"]} needs limits; with strengths, '
        'which are prices, give constraint=linear'
      )
    cli.refuse_ignored(config, OPTIONS, ['strength'], 'with strengths')
  if sizes.controls and (
    config['limits'] is None or config['search_finalists'] == 1
  ):
    raise InputError(
      f'control_seeds is {sizes.controls}; without limits and '
      'search_finalists of 2 or more there are no finalists to choose from'
    )
  holdout.check_fraction(config['valid_fraction'])
  if not config['valid_fraction']:
    raise InputError(
      'valid_fraction is 0; images are needed that choose the best alternative'
    )
  told = search_config(config)
  one_each = sizes._replace(search_seeds=1, outer_seeds=1)
  members = [
    config_of(told, resource, member)
    for member in plan.members(levels, one_each)
  ]
  # All that does without images is checked before thousands are decoded.
  opened = sources.open_set(config, OPTIONS)
  _check_images(config['train_images'], opened)
  datasets.check_recipe(recipe, opened)
  with _naming_searches():
    for member in members:
      search.check(member, opened)
  whole = datasets.read(opened)
  dataset = subset(whole, config['train_images'])
  fit, valid = holdout.held_out(dataset, config['valid_fraction'])
  batches = datasets.batches_for(recipe, fit)
  with _naming_searches():
    for member in members:
      inputs = search.prepare(member, fit)
  content = {
    'space_content': record_lib.fingerprint(inputs.space),
    'data_content': datasets.content_of(dataset),
  }
  setting = Setting(
    pathlib.Path(workdir).expanduser(),
    told,
    resource,
    fit,
    valid,
    batches,
    recipe,
    names.ops_of(config['ops']),
    command,
  )
  return Prepared(
    levels, sizes, setting, inputs.space, whole.num_train, content
  )


@contextlib.contextmanager
def _naming_searches() -> Iterator[None]:
  """Errors name the flags of searches: `search_steps`, not `steps`."""
  fields = '|'.join(_PREFIXED)
  try:
    yield
  except InputError as e:
    named = re.sub(rf'(?<![\w-])({fields})(?==\S| is )', r'search_\1', str(e))
    raise InputError(named) from e


def warnings(prepared: Prepared) -> list[str]:
  """A warning of each limit that every network of the space keeps."""
  make = RESOURCES[prepared.setting.resource]
  return [
    f'warning: {line}'
    for level in prepared.levels
    if level.limit is not None
    for line in limits.warnings({make(prepared.space): level.limit})
  ]


def subset(dataset: data.Dataset, images: int | None) -> data.Dataset:
  """So many of the training images, of each class the same share.

  Raises:
    InputError: more than there are, or too few for the classes.
  """
  _check_images(images, dataset)
  if images is None or images == dataset.num_train:
    return dataset
  few, _ = split(
    dataset.train,
    images / dataset.num_train,
    what=f'data set {dataset.name}, train_images={images}',
    class_names=dataset.class_names,
  )
  return dataclasses.replace(dataset, train=few)


def _check_images(
  images: int | None, dataset: data.Opened | data.Dataset
) -> None:
  """Raises InputError where there are not as many training images."""
  if images is not None and not 0 < images <= dataset.num_train:
    raise InputError(
      f'train_images is {images}; {dataset.name} has {dataset.num_train}'
    )
