"""The images that a finished training ran on, by its `config.json`."""

import pathlib
from collections.abc import Mapping
from typing import Any

from nasjax import data, options
from nasjax.data import stream
from nasjax.errors import InputError
from nasjax.run import datasets
from nasjax.run.workdir import schema

from . import cli, configs, sources
from .training import Images

IMAGES = options.of(Images)
# What tells the images of one run from others of their name.
_CONTENT = schema.fields(data_content=schema.text)


def dataset(
  workdir: pathlib.Path, data_dir: str | None = None
) -> data.Dataset | stream.Streamed:
  """Reads the data set of a training; writes nothing.

  Args:
    workdir: of the training.
    data_dir: where its images lie now; None is where they lay.

  Raises:
    InputError: the images are not there, or are others than those of the run.
  """
  path = workdir / 'config.json'
  before = schema.read(path, _CONTENT)
  # A training from Python writes null for what its set has not.
  before = {name: v for name, v in before.items() if v is not None}
  if 'stream' not in before and 'crop_area' in before:
    before['stream'] = True
  schema.hold(path, before, schema.flags(IMAGES))
  given = {} if data_dir is None else {'data_dir': data_dir}
  values = cli.defaults(IMAGES) | before | given
  found = read(values)
  check_content(workdir, found, before['data_content'])
  return found


def read(values: Mapping[str, Any]) -> data.Dataset | stream.Streamed:
  """Reads the data set that values of flags name; writes nothing."""
  images = configs.of(Images, values)
  return sources.of_or_stream(images.streamable, images, write=False)


def check_content(
  workdir: pathlib.Path,
  found: data.Dataset | stream.Streamed,
  content: str,
) -> None:
  """Raises InputError for other images than a run had.

  Args:
    workdir: of the run, for the message.
    found: the data set.
    content: see `nasjax.run.datasets.content_of`, of the run.
  """
  if datasets.content_of(found) != content:
    raise InputError(
      f'the images of {found.name} are not those that {workdir} was trained '
      'and tested on'
    )
