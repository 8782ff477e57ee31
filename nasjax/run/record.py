"""What runs write about themselves, and how their JSON files are read."""

import contextlib
import hashlib
import importlib.metadata
import json
import pathlib
import platform
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from nasjax import files
from nasjax.errors import InputError


def fingerprint(*parts: Any) -> str:
  """A short hash of the content of static structures and plain values."""
  return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def read_json(path: pathlib.Path) -> Any:
  """Reads JSON; an InputError says what is wrong with the file."""
  try:
    return json.loads(files.read_text(path))
  except OSError as e:
    raise InputError(f'{path}: {e.strerror}') from e
  except (ValueError, RecursionError) as e:
    raise InputError(f'{path} is truncated or no JSON: {e}') from e


def versions() -> dict[str, str]:
  """Versions that the numbers of a run depend on."""
  names = ('nasjax', 'jax', 'jaxlib', 'flax', 'optax', 'numpy')
  return {'python': platform.python_version(), **versions_of(names)}


def versions_of(names: Sequence[str]) -> dict[str, str]:
  """Versions of packages, as far as they are installed."""
  found = {}
  for name in names:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
      found[name] = importlib.metadata.version(name)
  return found


def to_host(tree: Any) -> Any:
  """Arrays as Python floats and lists; the host waits for them."""
  return jax.tree.map(lambda x: np.asarray(x).tolist(), tree)
