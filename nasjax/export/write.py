"""Exports a network to a file, in one of three formats."""

import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nasjax import data, train
from nasjax.export import build as build_lib
from nasjax.export import model, verified
from nasjax.export.verified import Exported


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
  build = functools.partial(build_lib.tflite, int8=int8)
  given = source, path, variables, classes, normalisation, input, images, test
  return verified.export('tflite', build, verified.Given(*given))


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
  return verified.export('onnx', build_lib.onnx, verified.Given(*given))


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
  return verified.export(
    'stablehlo', build_lib.stablehlo, verified.Given(*given)
  )
