"""Files before they are written: bytes, and what runs them."""

import collections
import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from nasjax.errors import InputError
from nasjax.export import (
  litert_converter,
  litert_file,
  litert_runtime,
  onnx_file,
  quantise,
  stablehlo_program,
  warned,
)
from nasjax.export.model import Model


@dataclasses.dataclass(frozen=True)
class Built:
  """A file before it is written.

  Attributes:
    data: its bytes.
    run: images of its dtype, `[n, H, W, C]`, to logits, by its runtime.
    operators: how often each occurs.
    warnings: reasons to expect that it runs slowly.
    facts: further values of `export.json`.
  """

  data: bytes
  run: Callable[[np.ndarray], np.ndarray]
  operators: dict[str, int]
  warnings: list[str] = dataclasses.field(default_factory=list)
  facts: dict[str, Any] = dataclasses.field(default_factory=dict)


def _counts(operators: Iterable[str]) -> dict[str, int]:
  """How often each operator occurs, the most frequent first."""
  return dict(collections.Counter(operators).most_common())


def tflite(
  one: Model,
  dtype: str,
  document: dict[str, Any],
  images: np.ndarray | None,
  int8: bool = False,
) -> Built:
  """A LiteRT flatbuffer.

  Args:
    one: what is exported.
    dtype: of the image, `'uint8'` or `'float32'`.
    document: JSON for the file's metadata.
    images: real ones, for calibration.
    int8: whether weights and activations are quantised.

  Raises:
    InputError: there are no images to calibrate on, or a package is missing.
  """
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
  return Built(found, run, _counts(op.name for op in operators), lines, facts)


def onnx(
  one: Model,
  dtype: str,
  document: dict[str, Any],
  images: np.ndarray | None,
) -> Built:
  """An ONNX file; see `tflite` for the arguments, of which it needs no images.

  Raises:
    InputError: a package is missing, or an operation has no ONNX form.
  """
  found = onnx_file.build(one, dtype, document)
  operators = onnx_file.operators(found)
  run = functools.partial(onnx_file.run_file, found)
  return Built(found, run, _counts(operators))


def stablehlo(
  one: Model,
  dtype: str,
  document: dict[str, Any],
  images: np.ndarray | None,
) -> Built:
  """A program of `jax.export`; see `tflite` for the arguments.

  It holds no metadata: `export.json` does.
  """
  found = bytes(stablehlo_program.trace(one, dtype).serialize())
  run = functools.partial(stablehlo_program.run_file, found)
  return Built(found, run, {})
