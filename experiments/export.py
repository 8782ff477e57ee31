"""Exports the network of a finished training to a file for phones.

  python -m experiments.export --workdir=runs/train
  python -m experiments.export --workdir=runs/train --int8
  python -m experiments.export --workdir=runs/train --format=onnx

writes `model.tflite`, `labels.txt`, `run.py` and `export.json` into a folder of
the format in `WORKDIR/export/`. The outputs of the file are compared with those
of the network before. With `--int8` training images of the run calibrate it,
and its accuracy on the test images is measured.
"""

from .flags import early

if __name__ == '__main__':
  early.begin('export')  # Before imports that take seconds.

import dataclasses
import pathlib
import sys

import numpy as np
from absl import flags

from nasjax import checks, data, export, options, run
from nasjax.data import stream, stream_batches
from nasjax.errors import InputError
from nasjax.export import extras
from nasjax.options import check_types, documented, option
from nasjax.printable import printable

from .flags import cli, configs, names, ran

FORMATS = {
  'tflite': export.tflite,
  'onnx': export.onnx,
  'stablehlo': export.stablehlo,
}
# Images that a stream is asked for, for comparison and calibration.
_STREAMED = 1024


@documented
@dataclasses.dataclass(frozen=True)
class Flags:
  """What is exported.

  Raises:
    InputError: a value that is not known, or a field without effect.
  """

  format: str = option('tflite', f'format of the file, {cli.one_of(FORMATS)}')
  int8: bool = option(False, 'quantise weights and activations to 8 bits')
  input: str = option('uint8', 'type of the images, one of uint8, float32')
  data_dir: str | None = option(
    None, 'folder of the images of the run, if they have moved'
  )
  test_images: int = option(
    10_000, 'test images that the accuracy of --int8 is measured on, at most'
  )
  ops: str | None = option(
    None, 'Python module with your ops, if the network uses them'
  )

  def __post_init__(self):
    check_types(self)
    checks.lookup('format', self.format, FORMATS)
    checks.check_least(1, test_images=self.test_images)
    if self.format != 'tflite':
      checks.refuse_ignored(self, ['int8'], f'with format={self.format}')
    if not self.int8:
      checks.refuse_ignored(self, ['test_images'], 'without --int8')


OPTIONS = options.of(Flags)


def images_of(
  dataset: data.Dataset | stream.Streamed, test_images: int
) -> tuple[np.ndarray, data.Arrays]:
  """Training images of a set, and so many of its test images with labels."""
  if isinstance(dataset, data.Dataset):
    places = slice(None, test_images)
    test = data.Arrays(dataset.test.images[places], dataset.test.labels[places])
    return np.asarray(dataset.train.images), test
  size = dataset.image_shape[0]
  return (
    stream_batches.sample(dataset.train, size, _STREAMED),
    stream_batches.spread(dataset.test, test_images, size),
  )


def export_as_told(told: Flags, workdir: pathlib.Path) -> export.Exported:
  """Exports the network of a workdir.

  Raises:
    InputError: there is no finished training, its images are needed and not
      there, or a package is missing. Nothing was written then.
  """
  extras.check(told.format)
  net = run.load(workdir, names.ops_of(told.ops))
  folder = told.format + ('_int8' if told.int8 else '')
  path = workdir / 'export' / folder / f'model.{told.format}'
  given = {}
  try:
    dataset = ran.dataset(workdir, told.data_dir)
    given['images'], test = images_of(dataset, told.test_images)
    if told.int8:
      given |= {'int8': True, 'test': test}
  except InputError as e:
    if told.int8 or told.data_dir is not None:
      raise
    line = f'warning: compared on images of {data.EMBEDDED}, as {e}'
    print(printable(line), file=sys.stderr)
  return FORMATS[told.format](net, path, input=told.input, **given)


def main() -> None:
  extras.quiet_at_exit()
  workdir = pathlib.Path(flags.FLAGS.workdir).expanduser()
  told = configs.of(Flags, cli.values(OPTIONS))
  exported = export_as_told(told, workdir)
  record = exported.record
  found = record['parity']
  print(
    f'logits differ by at most {found["relative_difference"]:.1e} of the '
    f'largest on {found["images"]} images; {found["same_top"]:.1%} of them '
    'have the same class'
  )
  if told.int8:
    print(
      f'test accuracy {100 * record["test_accuracy"]:.2f} % in int8, '
      f'{100 * record["float_test_accuracy"]:.2f} % in float32, on '
      f'{record["test_images"]} images'
    )
  print(f'wrote {exported.path}, {record["bytes"]} bytes')


def define() -> None:
  """Defines the flags of the script."""
  cli.define_workdir()
  cli.define(OPTIONS)


def start() -> None:
  """Runs the script."""
  define()
  cli.run(main, required=('workdir',))


if __name__ == '__main__':
  start()
