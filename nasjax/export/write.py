"""Exports a network to a file: built, verified on images, then written."""

import collections
import dataclasses
import functools
import pathlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nasjax import checks, data, train
from nasjax.data import images as image_lib
from nasjax.errors import InputError
from nasjax.export import (
  folder,
  litert_converter,
  litert_file,
  litert_runtime,
  model,
  onnx_file,
  parity,
  quantise,
  run_script,
  stablehlo_program,
  warned,
)
from nasjax.printable import printable
from nasjax.run import record as record_lib

# Images that outputs are compared on, if there are as many.
_COMPARED = 16
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


@dataclasses.dataclass(frozen=True)
class _Built:
  """A file before it is written: its bytes, how it runs, what it holds."""

  data: bytes
  run: Callable[[np.ndarray], np.ndarray]
  operators: dict[str, int]
  warnings: list[str] = dataclasses.field(default_factory=list)
  facts: dict[str, Any] = dataclasses.field(default_factory=dict)


class _Test(NamedTuple):
  """Test images with labels, as NumPy arrays."""

  images: np.ndarray
  labels: np.ndarray


def tflite(
  source: model.Source,
  path: str | pathlib.Path,
  variables: train.Weights | Mapping[str, Any] | None = None,
  *,
  classes: Sequence[str] | None = None,
  normalisation: model.Normalisation | None = None,
  input: str = 'uint8',
  int8: bool = False,
  images: np.ndarray | None = None,
  test: data.Arrays | tuple[np.ndarray, np.ndarray] | None = None,
) -> Exported:
  """Exports a network to LiteRT (`.tflite`).

  Batch norm is folded and activations are fused. The file takes images of 0 to
  255 and normalises them. Its outputs are compared with those of the network
  before anything is written.

  Args:
    source: the result of `nasjax.run.train` or `nasjax.run.load`; or an
      architecture, or a network with one op in every slot.
    path: of the file; its folder is made if need be, and holds one export.
    variables: weights, or `{'params': ..., 'batch_stats': ...}`. None takes
      those of the training, or fresh random ones.
    classes: a name per class; None takes those of the training, or numbers.
    normalisation: mean and standard deviation of each channel, for pixels
      scaled to 0 to 1. None takes those of the training, or 0 and 1.
    input: `'uint8'` or `'float32'`: the type of the images, 0 to 255.
    int8: whether weights and activations are quantised to 8 bits.
    images: `uint8[n, H, W, C]` of the training or held-out images, never of the
      test: for calibration (int8) and comparison. None compares on images of
      `fashion_mnist_5k`.
    test: test images and labels; the accuracies of the network and of the file
      go into `export.json`.

  Returns:
    The path and what `export.json` holds. Warnings are printed on stderr.

  Raises:
    InputError: bad input, or the extra `mobile` is missing.
    RuntimeError: the float file computes something else than the network.

  Example:
    >>> import nasjax as nj
    >>> net = nj.zoo.mobilenet_v2(image_size=32, num_classes=3, width=0.25)
    >>> nj.export.tflite(net, 'mine/model.tflite')  # doctest: +SKIP
  """
  return _export(
    'tflite',
    functools.partial(_tflite, int8=int8),
    source,
    path,
    variables,
    classes,
    normalisation,
    input,
    images,
    test,
  )


def onnx(
  source: model.Source,
  path: str | pathlib.Path,
  variables: train.Weights | Mapping[str, Any] | None = None,
  *,
  classes: Sequence[str] | None = None,
  normalisation: model.Normalisation | None = None,
  input: str = 'uint8',
  images: np.ndarray | None = None,
  test: data.Arrays | tuple[np.ndarray, np.ndarray] | None = None,
) -> Exported:
  """Exports a network to ONNX, opset 17.

  See `tflite` for what is written and verified.

  Args:
    source: see `tflite`.
    path: see `tflite`.
    variables: see `tflite`.
    classes: see `tflite`.
    normalisation: see `tflite`.
    input: see `tflite`.
    images: see `tflite`.
    test: see `tflite`.

  Returns:
    The path and what `export.json` holds.

  Raises:
    InputError: bad input, the extra `onnx` is missing, or an operation of a
      user's op has no ONNX form.
    RuntimeError: the file computes something else than the network.
  """
  given = source, path, variables, classes, normalisation, input, images, test
  return _export('onnx', _onnx, *given)


def stablehlo(
  source: model.Source,
  path: str | pathlib.Path,
  variables: train.Weights | Mapping[str, Any] | None = None,
  *,
  classes: Sequence[str] | None = None,
  normalisation: model.Normalisation | None = None,
  input: str = 'uint8',
  images: np.ndarray | None = None,
  test: data.Arrays | tuple[np.ndarray, np.ndarray] | None = None,
) -> Exported:
  """Exports a network as a StableHLO program; no extra is needed.

  `jax.export.deserialize` reads the file; its `mlir_module_serialized` is the
  portable artifact that other compilers take.

  Args:
    source: see `tflite`.
    path: see `tflite`.
    variables: see `tflite`.
    classes: see `tflite`.
    normalisation: see `tflite`.
    input: see `tflite`.
    images: see `tflite`.
    test: see `tflite`.

  Returns:
    The path and what `export.json` holds.

  Raises:
    InputError: bad input.
    RuntimeError: the file computes something else than the network.
  """
  given = source, path, variables, classes, normalisation, input, images, test
  return _export('stablehlo', _stablehlo, *given)


def _export(
  kind: str,
  build: Callable[..., _Built],
  source: model.Source,
  path: str | pathlib.Path,
  variables: Any,
  classes: Sequence[str] | None,
  normalisation: model.Normalisation | None,
  input: str,
  images: np.ndarray | None,
  test: Any,
) -> Exported:
  path = pathlib.Path(path).expanduser()
  folder.check(path)
  checks.lookup('input', input, _INPUTS)
  one = model.of(
    source, variables, classes=classes, normalisation=normalisation
  )
  if one.channels not in (1, 3):
    raise InputError(
      f'{one.network.name} takes images of {one.channels} channels; only those '
      'of 1 or 3 can be exported'
    )
  if images is not None:
    images = np.asarray(images)
    quantise.check_images(images, one.image_shape)
  if test is not None:
    test = _Test(*map(np.asarray, test))
    quantise.check_images(test.images, one.image_shape)
  document = _document(one, input)
  built = build(one, input, document, images)
  compared = quantise.spread(
    _stock(one.image_shape) if images is None else images, _COMPARED
  )
  given = compared.astype(_INPUTS[input])
  found = parity.compare(one.logits(compared), built.run(given))
  quantised = 'int8' in built.facts
  if not quantised:
    parity.check(f'{kind} of {one.network.name}', found)
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
    **_accuracies(one, built, input, test),
    'warnings': built.warnings,
    'versions': {**record_lib.versions(), **record_lib.versions_of(_VERSIONS)},
  }
  for line in built.warnings:
    print(printable(f'warning: {path.name}: {line}'), file=sys.stderr)
  script = run_script.text(
    kind,
    path.name,
    size=one.image_size,
    channels=one.channels,
    crop=one.crop,
    dtype=input,
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
  one: model.Model, built: _Built, dtype: str, test: _Test | None
) -> dict[str, Any]:
  """Test accuracies of the network and of the file, on the same images."""
  if test is None:
    return {}

  def accuracy(logits):
    return float((logits.argmax(1) == test.labels).mean())

  return {
    'test_images': len(test.labels),
    'float_test_accuracy': accuracy(one.logits(test.images)),
    'test_accuracy': accuracy(built.run(test.images.astype(_INPUTS[dtype]))),
  }


def _counts(operators: Iterable[str]) -> dict[str, int]:
  """How often each operator occurs, the most frequent first."""
  return dict(collections.Counter(operators).most_common())


def _tflite(
  one: model.Model,
  dtype: str,
  document: dict[str, Any],
  images: np.ndarray | None,
  int8: bool,
) -> _Built:
  facts: dict[str, Any] = {}
  if int8 and images is None:
    raise InputError(
      'int8 is calibrated on real images; give images=, some hundred of the '
      'training images'
    )
  found = litert_converter.convert(stablehlo_program.trace(one))
  if int8 and images is not None:
    chosen = quantise.spread(images)
    found = quantise.int8(found, chosen)
    facts['int8'] = {'calibration_images': len(chosen)}
  if dtype == 'uint8':
    found = litert_file.with_uint8_input(found)
  found = litert_file.with_metadata(found, document)
  operators = litert_file.operators(found)
  run = litert_runtime.Runner(found)
  facts['fully_accelerated'] = run.fully_accelerated
  lines = warned.warnings(operators, run.fully_accelerated)
  return _Built(found, run, _counts(op.name for op in operators), lines, facts)


def _onnx(
  one: model.Model,
  dtype: str,
  document: dict[str, Any],
  images: np.ndarray | None,
) -> _Built:
  found = onnx_file.build(one, dtype, document)
  operators = onnx_file.operators(found)
  run = functools.partial(onnx_file.run_file, found)
  return _Built(found, run, _counts(operators))


def _stablehlo(
  one: model.Model,
  dtype: str,
  document: dict[str, Any],
  images: np.ndarray | None,
) -> _Built:
  found = bytes(stablehlo_program.trace(one, dtype).serialize())
  run = functools.partial(stablehlo_program.run_file, found)
  return _Built(found, run, {})
