"""A file that is built, compared with its network, and only then written."""

import dataclasses
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nasjax import checks, data, train
from nasjax.data import images as image_lib
from nasjax.errors import InputError
from nasjax.export import build as build_lib
from nasjax.export import extras, folder, model, parity, quantise, run_script
from nasjax.printable import printable
from nasjax.run import record as record_lib

# Images that outputs are compared on, if there are as many.
_COMPARED = 16
# Of int8, before there is a warning: test accuracy lost, same classes.
_LARGEST_LOSS, _SAME = 0.01, 0.9
_INPUTS = {'uint8': np.uint8, 'float32': np.float32}
# Versions of what writes and runs the files.
_VERSIONS = (
  'ai-edge-litert',
  'litert-converter',
  'litert-quantizer',
  'onnx',
  'onnxruntime',
)


@dataclasses.dataclass(frozen=True)
class Exported:
  """A file that was verified and written.

  Attributes:
    path: of the file; `labels.txt`, `run.py` and `export.json` lie beside it.
    record: the content of `export.json`.
  """

  path: pathlib.Path
  record: Mapping[str, Any]

  @property
  def warnings(self) -> list[str]:
    """Reasons to expect that the file runs slowly or labels wrongly."""
    return self.record['warnings']


@dataclasses.dataclass(frozen=True, eq=False)
class Given:
  """What every format takes; see `nasjax.export.tflite`."""

  source: model.Source
  path: str | pathlib.Path
  variables: train.Weights | Mapping[str, Any] | None
  classes: Sequence[str] | None
  normalisation: model.Normalisation | None
  input: str
  images: np.ndarray | None
  test: data.Arrays | tuple[np.ndarray, np.ndarray] | None


class _Test(NamedTuple):
  """Test images with labels, as NumPy arrays."""

  images: np.ndarray
  labels: np.ndarray


def export(
  kind: str, build: Callable[..., build_lib.Built], given: Given
) -> Exported:
  """Builds a file, verifies it, and writes it with what belongs beside it.

  Args:
    kind: `'tflite'`, `'onnx'` or `'stablehlo'`.
    build: a function of `nasjax.export.build`.
    given: by the user.

  Raises:
    InputError: bad input, or a package is missing; nothing was written then.
    RuntimeError: a float file computes something else than the network.
  """
  path = pathlib.Path(given.path).expanduser()
  folder.check(path)
  dtype = checks.lookup('input', given.input, _INPUTS)
  extras.check(kind)
  one = model.of(
    given.source,
    given.variables,
    classes=given.classes,
    normalisation=given.normalisation,
  )
  if one.channels not in (1, 3):
    raise InputError(
      f'{one.network.name} takes images of {one.channels} channels; only those '
      'of 1 or 3 can be exported'
    )
  images, test = given.images, None
  if images is not None:
    images = np.asarray(images)
    quantise.check_images(images, one.image_shape)
  if given.test is not None:
    test = _Test(*map(np.asarray, given.test))
    quantise.check_images(test.images, one.image_shape)
  document = _document(one, given.input)
  built = build(one, given.input, document, images)
  compared = quantise.spread(
    _stock(one.image_shape) if images is None else images, _COMPARED
  )
  logits = built.run(compared.astype(dtype))
  expected = one.logits(compared)
  found = parity.compare(expected, logits)
  quantised = 'int8' in built.facts
  lines = list(built.warnings)
  if not quantised and not parity.fits(found):
    tolerance = parity.tolerance_of(one.precise_logits(compared), expected)
    found = parity.compare(expected, logits, tolerance)
    lines.append(
      f'rounding to float32 alone changes the logits of {one.network.name}: '
      f'they are compared to {tolerance:.1g} of the largest; are the weights '
      'trained?'
    )
  if not quantised:
    parity.check(f'{kind} of {one.network.name}', found)
  accuracies = _accuracies(one, built, dtype, test)
  lines += _of_int8(found, accuracies) * quantised
  record = {
    'file': path.name,
    'format': kind,
    'bytes': len(built.data),
    **document,
    **{
      name: one.result[name]
      for name in ('macs', 'params', 'dataset', 'seed')
      if name in one.result
    },
    'parity': {
      **found._asdict(),
      'images_of': 'the user' if images is not None else data.EMBEDDED,
    },
    'operators': built.operators,
    **built.facts,
    **accuracies,
    'warnings': lines,
    'versions': {**record_lib.versions(), **record_lib.versions_of(_VERSIONS)},
  }
  for line in lines:
    print(printable(f'warning: {path.name}: {line}'), file=sys.stderr)
  script = run_script.text(
    kind,
    path.name,
    size=one.image_size,
    channels=one.channels,
    crop=one.crop,
    dtype=given.input,
  )
  labels = list(map(printable, one.classes))
  folder.write(path, built.data, labels, script, record)
  return Exported(path, record)


def _document(one: model.Model, dtype: str) -> dict[str, Any]:
  """What the file says of itself: classes and preprocessing."""
  return {
    'network': one.network.name,
    'classes': list(one.classes),
    'input': {
      'dtype': dtype,
      'shape': [1, *one.image_shape],
      'range': [0, 255],
      'channels': 'grey' if one.channels == 1 else 'RGB',
      'crop': one.crop,
      'resize': 'bicubic',
    },
    # Of pixels scaled to 0 to 1. The graph does it.
    'normalisation': {'mean': list(one.mean), 'std': list(one.std)},
    'output': 'logits',
  }


def _stock(shape: tuple[int, int, int]) -> np.ndarray:
  """Images that come with nasjax, at the size of a network."""
  size, _, channels = shape
  chosen = quantise.spread(np.asarray(data.load().train.images), _COMPARED)
  each = [image_lib.square(image_lib.of_pixels(x), size) for x in chosen]
  return np.stack(each).repeat(channels, axis=-1)


def _accuracies(
  one: model.Model, built: build_lib.Built, dtype: type, test: _Test | None
) -> dict[str, Any]:
  """Test accuracies of the network and of the file, on the same images."""
  if test is None:
    return {}

  def accuracy(logits):
    return float((logits.argmax(1) == test.labels).mean())

  return {
    'test_images': len(test.labels),
    'float_test_accuracy': accuracy(one.logits(test.images)),
    'test_accuracy': accuracy(built.run(test.images.astype(dtype))),
  }


def _of_int8(found: parity.Parity, accuracies: dict[str, Any]) -> list[str]:
  """Warnings where int8 labels other than the network."""
  if accuracies:
    whole, own = (
      accuracies[name] for name in ('float_test_accuracy', 'test_accuracy')
    )
    if whole - own <= _LARGEST_LOSS:
      return []
    return [
      f'int8 labels {own:.2%} of {accuracies["test_images"]} test images '
      f'right, float32 {whole:.2%}'
    ]
  if found.same_top >= _SAME:
    return []
  return [
    f'int8 gives another class than float32 for {1 - found.same_top:.1%} of '
    f'{found.images} images; give test= to know its accuracy'
  ]
