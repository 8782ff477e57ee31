"""What a checkpoint says of itself: of which run it is, and what it holds."""

import hashlib
import json
from typing import Any

import jax
import numpy as np


def make(
  identity: str, step: int, state: Any, document: Any = None
) -> dict[str, Any]:
  """The record of a checkpoint, a JSON document.

  Args:
    identity: of the run.
    step: of the state.
    state: as for `digest`.
    document: where the feed stands.

  Example:
    >>> record = make('seed 0', 3, {'a': np.zeros(2)})
    >>> intact(record), intact({**record, 'identity': 'seed 1'})
    (True, False)
  """
  content = {'identity': identity, 'layout': layout(state), 'step': step}
  content['digest'] = digest(state, document)
  return {**content, 'check': _check(content)}


def intact(record: Any) -> bool:
  """Whether a record that was read is one that `make` gave."""
  if not isinstance(record, dict):
    return False
  content = {key: value for key, value in record.items() if key != 'check'}
  return record.get('check') == _check(content)


def layout(state: Any) -> str:
  """A short hash of the structure of a state, of its shapes and types."""
  leaves = jax.tree_util.tree_leaves_with_path(state)
  found = [(_name(at), str(x.dtype), tuple(x.shape)) for at, x in leaves]
  return hashlib.sha256(repr(found).encode()).hexdigest()[:16]


def digest(state: Any, document: Any = None) -> str:
  """A hash of all that a checkpoint keeps, to the bit.

  Args:
    state: a pytree of arrays, each of which this process has whole.
    document: where the feed stands.

  Example:
    >>> one, other = np.float32([0, 1]), np.float32([-0.0, 1])
    >>> digest({'a': one}) == digest({'a': other})
    False
  """
  found = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
  for at, leaf in jax.tree_util.tree_leaves_with_path(state):
    found.update(repr((_name(at), str(leaf.dtype), leaf.shape)).encode())
    # As bytes, which types have that NumPy cannot show as a buffer.
    data = np.ascontiguousarray(_on_host(leaf)).reshape(-1)
    found.update(data.view(np.uint8).data)
  return found.hexdigest()


def _name(at: Any) -> str:
  return jax.tree_util.keystr(at, simple=True, separator='/')


def _on_host(leaf: Any) -> np.ndarray:
  if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
    leaf = leaf.addressable_data(0)
  if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
    leaf = jax.random.key_data(leaf)
  return np.asarray(leaf)


def _check(content: dict[str, Any]) -> str:
  text = json.dumps(content, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()[:16]
