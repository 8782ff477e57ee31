"""Finds the step at which a run is no longer finite, and says so."""

import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

import jax
import numpy as np

from nasjax.errors import DivergedError

LOSSES = ('train_loss', 'valid_loss', 'total_loss')
COUNTERS = ('weights_skipped', 'alphas_skipped')


class Bad(NamedTuple):
  """Where a run stopped being finite.

  Attributes:
    step: the first one at which it was seen.
    what: a name of `LOSSES` or `COUNTERS`, or 'state': weights or alphas.
    before: the losses of the step before, all finite; {} where it is the first.
  """

  step: int
  what: str
  before: Mapping[str, float]


class Watch:
  """Looks at the losses of every step, as soon as the device has them.

  Nothing is waited for, unless it is asked for: to read a number that is still
  being computed would leave the device without work.
  """

  def __init__(self, explain: Callable[[Bad], str], most_skipped: int = 0):
    """Args: what makes a message; steps in a row that may be left out."""
    self._explain, self._most = explain, most_skipped
    self._pending: deque[tuple[int, dict[str, Any]]] = deque()
    self._before: dict[str, float] = {}
    self._saved = 0

  def put(self, step: int, metrics: Mapping[str, Any]) -> None:
    """Takes the metrics of a step."""
    names = (*LOSSES, *COUNTERS)
    found = {name: metrics[name] for name in names if name in metrics}
    self._pending.append((step, found))

  def look(self, wait: bool = False) -> None:
    """Looks at what has come, or with `wait` at all that was put.

    Raises:
      DivergedError: a loss is not finite, or too many steps were left out.
    """
    while self._pending and (wait or _ready(self._pending[0][1])):
      step, found = self._pending.popleft()
      values = {name: float(np.asarray(x)) for name, x in found.items()}
      self._check(step, values)
      self._before = {n: x for n, x in values.items() if n in LOSSES}

  def saved(self, step: int) -> None:
    """Takes the step of a checkpoint, which is finite."""
    self._saved = step

  def check_state(self, step: int, tree: Any) -> None:
    """Looks at weights or alphas themselves.

    The last step's may be the first that are not finite: no loss tells.

    Raises:
      DivergedError: they are not.
    """
    if not finite(tree):
      self._raise(step, 'state')

  def _check(self, step: int, values: Mapping[str, float]) -> None:
    counters = {n: int(values[n]) for n in COUNTERS if n in values}
    for name, count in counters.items():
      if count > self._most:
        self._raise(step - count + 1, name)
    for name in LOSSES:
      if not counters and not math.isfinite(values.get(name, 0.0)):
        self._raise(step, name)

  def _raise(self, step: int, what: str) -> NoReturn:
    text = self._explain(Bad(step, what, self._before))
    if self._saved:
      text += f'; the last checkpoint, of step {self._saved}, is kept'
    raise DivergedError(text)


def finite(tree: Any) -> bool:
  """Whether all floating-point numbers of a pytree are finite, on the host.

  Example:
    >>> finite({'a': np.ones(2)}), finite({'a': np.array([np.inf])})
    (True, False)
  """
  return all(
    bool(np.isfinite(np.asarray(_local(leaf))).all())
    for leaf in jax.tree.leaves(tree)
    if jax.numpy.issubdtype(leaf.dtype, jax.numpy.inexact)
  )


def _local(leaf: Any) -> Any:
  """What this process has of an array that all processes hold alike."""
  whole = getattr(leaf, 'is_fully_addressable', True)
  return leaf if whole else leaf.addressable_data(0)


def _ready(found: Mapping[str, Any]) -> bool:
  return all(getattr(x, 'is_ready', lambda: True)() for x in found.values())
