"""Runs LiteRT files on this machine's CPU, one image at a time."""

import functools
from typing import Any

import numpy as np

from nasjax.export import extras
from nasjax.export.litert_converter import OUTPUT, SIGNATURE


class Runner:
  """A file that is ready to run.

  Attributes:
    fully_accelerated: whether the CPU delegate (XNNPACK) takes all operators,
      in one partition.
  """

  fully_accelerated: bool

  def __init__(self, data: bytes):
    """Compiles a file with one input and one output, and one thread.

    Raises:
      InputError: the runtime is not installed.
      RuntimeError: it refuses the file.
    """
    with extras.needed(), extras.quiet():
      from ai_edge_litert.compiled_model import CompiledModel
    with extras.quiet():
      self._model: Any = CompiledModel.from_buffer(
        data, environment=_environment()
      )
      self._inputs = self._model.create_input_buffers(0)
      self._outputs = self._model.create_output_buffers(0)
    details = self._model.get_output_tensor_details(SIGNATURE)
    self._classes = int(details[OUTPUT]['shape'][-1])
    self.fully_accelerated = self._model.is_fully_accelerated()

  def __call__(self, images: np.ndarray) -> np.ndarray:
    """Logits.

    Args:
      images: `[n, H, W, C]`, of the dtype of the file's input.

    Returns:
      `f32[n, classes]`.
    """
    found = np.zeros((len(images), self._classes), np.float32)
    with extras.quiet():
      for i, image in enumerate(images):
        self._inputs[0].write(np.ascontiguousarray(image[None]))
        self._model.run_by_index(0, self._inputs, self._outputs)
        found[i] = self._outputs[0].read(self._classes, np.float32)
    return found


@functools.cache
def _environment() -> Any:
  """One for all files: making and closing it takes time, and is logged."""
  from ai_edge_litert.environment import Environment

  return Environment.create()
