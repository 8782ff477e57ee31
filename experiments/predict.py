"""Prints the most probable class of images, by a finished training.

  python -m experiments.predict --workdir=runs/train cat.jpg dog.png

A line for each image: its path, the name of the class, and the probability.
"""

from .flags import early

if __name__ == '__main__':
  early.begin('predict')  # Before imports that take seconds.

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
from absl import flags

from nasjax import checks, options, run
from nasjax.data import images
from nasjax.errors import InputError
from nasjax.options import check_types, documented, option
from nasjax.printable import printable

from .flags import cli, configs, names


@documented
@dataclasses.dataclass(frozen=True)
class Flags:
  """How images are classified.

  Raises:
    InputError: a value out of its range.
  """

  top: int = option(1, 'classes to print per image, the most probable first')
  ops: str | None = option(
    None, 'Python module with your ops, if the network uses them'
  )

  def __post_init__(self):
    check_types(self)
    checks.check_least(1, top=self.top)


OPTIONS = options.of(Flags)


def read(path: str, net: run.Trained) -> np.ndarray:
  """An image as a network takes it: `uint8[size, size, channels]`.

  Raises:
    InputError: it cannot be read, or the network takes no such images.
  """
  size, channels = net.result['image_size'], net.result['channels']
  if channels not in (1, 3):
    raise InputError(
      f'the network takes images of {channels} channels; files have 1 or 3'
    )
  try:
    picture = images.read(path)
  except images.BrokenError as e:
    raise InputError(f'{path} cannot be read as an image: {e}') from e
  picture = picture.convert('L' if channels == 1 else 'RGB')
  return images.middle(picture, size, net.result.get('test_crop', 1.0))


def main(paths: Sequence[str]) -> None:
  workdir = pathlib.Path(flags.FLAGS.workdir).expanduser()
  told = configs.of(Flags, cli.values(OPTIONS))
  net = run.load(workdir, names.ops_of(told.ops))
  pixels = np.stack([read(path, net) for path in paths])
  found = net.classify(pixels, told.top)
  for path, classes in zip(paths, found, strict=True):
    for name, probability in classes:
      print(f'{printable(path)}: {printable(name)} {probability:.1%}')


def define() -> None:
  """Defines the flags of the script."""
  cli.define_workdir()
  cli.define(OPTIONS)


def start() -> None:
  """Runs the script."""
  define()
  cli.run(main, required=('workdir',), arguments='IMAGE')


if __name__ == '__main__':
  start()
