"""Flags of the data set, and the data set that they name."""

from collections.abc import Mapping
from typing import Any

from nasjax import data
from nasjax.data import folder_listing, stream
from nasjax.errors import InputError
from nasjax.run import datasets

from . import cli

OPTIONS = {
  'dataset': (
    data.EMBEDDED,
    f'images to use: {data.EMBEDDED} (comes with nasjax), the name of a TFDS '
    'set, or folder:DIR with a folder of images per class (or such folders in '
    'DIR/train/ and DIR/test/, DIR/val/ or both)',
  ),
  'data_dir': (
    None,
    'folder of prepared TFDS sets, and of decoded images of folder:DIR',
  ),
  'train_split': (
    None,
    "training images of a TFDS set, such as train[:80%]; not given: 'train'",
  ),
  'test_split': (
    None,
    "test images of a TFDS set, such as test[:1000]; not given: 'test', or "
    "'validation' where there is no 'test'",
  ),
  'test_fraction': (
    0.2,
    'fraction of the images of folder:DIR that are test images',
  ),
  'image_size': (int, 'edge in pixels to which images are resized'),
  'broken': ('refuse', 'unreadable images of folder:DIR, one of refuse, skip'),
}

# For scripts that can stream.
STREAM_OPTIONS = {
  'stream': (
    False,
    'read a TFDS set during the run instead of decoding it into memory',
  ),
  'crop_area': (
    stream.CROP_AREA,
    'smallest fraction of the area of an image that a random crop of --stream '
    'keeps',
  ),
}


def of_or_stream(
  config: Mapping[str, Any], options: cli.Options, *, write: bool = True
) -> data.Dataset | stream.Streamed:
  """Reads what `--dataset` names: decoded, or with `--stream` streamed.

  Args:
    config: a value for each of `OPTIONS` and `STREAM_OPTIONS`, at least.
    options: all options of the script.
    write: see `open_set`.

  Raises:
    InputError: there is no such set, it cannot be used, or a flag has no
      effect on it.
  """
  return datasets.read(open_or_stream(config, options, write=write))


def open_set(
  config: Mapping[str, Any], options: cli.Options, *, write: bool = True
) -> data.Opened:
  """Says how large a set is, before any image is decoded.

  `nasjax.run.datasets.read` decodes it.

  Args:
    config: a value for each of `OPTIONS`, at least.
    options: all options of the script.
    write: whether decoded images may be kept, and a set be prepared. False
      where a file says which set it is: a stranger's must not choose what is
      written where.

  Raises:
    InputError: there is no such set, or a flag has no effect on it.
  """
  check_flags(config, options)
  given = {'write': write, **{name: config[name] for name in OPTIONS}}
  return data.open_set(given.pop('dataset'), given.pop('data_dir'), **given)


def open_or_stream(
  config: Mapping[str, Any], options: cli.Options, *, write: bool = True
) -> data.Opened | stream.Streamed:
  """Opens what `--dataset` names: decoded later, or with `--stream` streamed.

  Args:
    config: a value for each of `OPTIONS` and `STREAM_OPTIONS`, at least.
    options: all options of the script.
    write: see `open_set`.

  Raises:
    InputError: the set cannot be used, or not streamed.
  """
  if not config['stream']:
    cli.refuse_ignored(config, options, ['crop_area'], 'without --stream')
    return open_set(config, options, write=write)
  name = config['dataset']
  if name == data.EMBEDDED or name.startswith(folder_listing.PREFIX):
    raise InputError(
      f'--stream reads sets of TFDS, dataset={name} is none; leave it out'
    )
  check_flags(config, options)
  wanted = ('data_dir', 'train_split', 'test_split', 'image_size', 'crop_area')
  given = {flag: config[flag] for flag in wanted}
  return stream.open_set(name, write=write, **given)


def check_flags(config: Mapping[str, Any], options: cli.Options) -> None:
  """Raises InputError where a flag has no effect on sets of this kind."""
  name = config['dataset']
  splits, folders = ['train_split', 'test_split'], ['test_fraction', 'broken']
  if name == data.EMBEDDED:
    ignored = ['data_dir', 'image_size', *splits, *folders]
    cli.refuse_ignored(config, options, ignored, f'with dataset={name}')
  elif name.startswith(folder_listing.PREFIX):
    cli.refuse_ignored(config, options, splits, 'with dataset=folder:DIR')
    sides = folder_listing.sides(name.removeprefix(folder_listing.PREFIX))
    why = f'where the folder holds {" and ".join(f"{f}/" for f in sides)}'
    if sides:
      cli.refuse_ignored(config, options, ['test_fraction'], why)
    if 'valid' in sides.values() and 'valid_fraction' in options:
      cli.refuse_ignored(config, options, ['valid_fraction'], why)
  else:
    cli.refuse_ignored(config, options, folders, f'with dataset={name}')
