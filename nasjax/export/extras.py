"""Packages of the extras `mobile` and `onnx`, which may be missing."""

import atexit
import contextlib
import importlib.util
import os
import platform
import sys
from collections.abc import Generator

from nasjax.errors import InputError

# Top-level modules to the extra that installs them.
_EXTRAS = {
  'ai_edge_litert': 'mobile',
  'litert_converter': 'mobile',
  'litert_quantizer': 'mobile',
  'onnx': 'onnx',
  'onnxruntime': 'onnx',
}
# Modules that a format needs.
_NEEDED = {
  'tflite': ('ai_edge_litert', 'litert_converter'),
  'onnx': ('onnx', 'onnxruntime'),
  'stablehlo': (),
}
_FORMATS = {'mobile': 'LiteRT', 'onnx': 'ONNX'}
# System and machine of which there are wheels of litert-converter.
_CONVERTS = ('Linux', 'x86_64'), ('Darwin', 'arm64')


def check(kind: str) -> None:
  """Checks that the packages of a format are there, and imports none.

  Args:
    kind: `'tflite'`, `'onnx'` or `'stablehlo'`.

  Raises:
    InputError: one is missing.

  Example:
    >>> check('stablehlo')
  """
  with needed():
    for module in _NEEDED[kind]:
      if importlib.util.find_spec(module) is None:
        raise ModuleNotFoundError(name=module)


@contextlib.contextmanager
def needed() -> Generator[None]:
  """Turns a missing package of an extra into one line that names the extra.

  Raises:
    InputError: an import inside the `with` statement failed for want of a
      package of an extra. Errors of other kinds are raised as they are.

  Example:
    >>> with needed():
    ...   raise ModuleNotFoundError(name='onnx')
    Traceback (most recent call last):
    ...
    nasjax.errors.InputError: export to ONNX needs onnx, which is not \
installed: pip install 'nasjax[onnx]'
  """
  try:
    yield
  except ModuleNotFoundError as e:
    module = (e.name or '').partition('.')[0]
    if module not in _EXTRAS:
      raise
    raise InputError(_why(module)) from e


def _why(module: str) -> str:
  extra, package = _EXTRAS[module], module.replace('_', '-')
  here = platform.system(), platform.machine()
  if module == 'litert_converter' and here not in _CONVERTS:
    return (
      f'{package} has no wheel for {" ".join(here)}, only for Linux x86_64 and '
      "macOS arm64; export ONNX, which works here: pip install 'nasjax[onnx]'"
    )
  return (
    f'export to {_FORMATS[extra]} needs {package}, which is not installed: '
    f"pip install 'nasjax[{extra}]'"
  )


def quiet_at_exit() -> None:
  """Drops what C++ libraries write to stderr when the process ends.

  For scripts, whose own messages are written by then.
  """

  def drop() -> None:
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)

  atexit.register(drop)


@contextlib.contextmanager
def quiet() -> Generator[None]:
  """Drops what C++ libraries write to stderr inside the `with` statement.

  The runtime and the converter log there with every call, at levels that no
  setting of theirs changes. What Python raises is not affected.
  """
  sys.stderr.flush()
  kept = os.dup(2)
  nowhere = os.open(os.devnull, os.O_WRONLY)
  try:
    os.dup2(nowhere, 2)
    yield
  finally:
    sys.stderr.flush()
    os.dup2(kept, 2)
    os.close(kept)
    os.close(nowhere)
