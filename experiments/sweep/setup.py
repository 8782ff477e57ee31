"""The objects of a sweep, made from its flags."""

import dataclasses
import pathlib
from typing import NamedTuple

from nasjax import data
from nasjax.cost import RESOURCES
from nasjax.data import split
from nasjax.errors import InputError
from nasjax.run import datasets, holdout, limits
from nasjax.run import record as record_lib
from nasjax.space import Space

from .. import search
from ..flags import names, sources
from . import plan
from .setting import Setting, flags_of
from .sweep_flags import Flags, naming_searches, searches_of


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


def prepare(told: Flags, workdir: str | pathlib.Path, command: str) -> Prepared:
  """Flags to objects; writes nothing.

  Raises:
    InputError: bad input.
  """
  resource, levels = told.levels
  sizes, shared = told.sizes, searches_of(told)
  one_each = sizes._replace(search_seeds=1, outer_seeds=1)
  with naming_searches():
    members = [
      flags_of(shared, resource, member)
      for member in plan.members(levels, one_each)
    ]
  # All that does without images is checked before thousands are decoded.
  opened = sources.open_set(told.source, told)
  _check_images(told.train_images, opened)
  datasets.check_recipe(told.recipe, opened)
  with naming_searches():
    for member in members:
      search.check(member, opened)
  whole = datasets.read(opened)
  dataset = subset(whole, told.train_images)
  fit, valid = holdout.held_out(dataset, told.valid_fraction)
  batches = datasets.batches_for(told.recipe, fit)
  with naming_searches():
    for member in members:
      inputs = search.prepare(member, fit)
  content = {
    'space_content': record_lib.fingerprint(inputs.space),
    'data_content': datasets.content_of(dataset),
  }
  setting = Setting(
    pathlib.Path(workdir).expanduser(),
    shared,
    resource,
    fit,
    valid,
    batches,
    told.recipe,
    names.ops_of(told.ops),
    command,
  )
  return Prepared(
    levels, sizes, setting, inputs.space, whole.num_train, content
  )


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
