"""A table of latency from the times of whole networks, by least squares."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import optimize

from nasjax.errors import InputError
from nasjax.latency.table import FIXED, LatencyTable
from nasjax.space import Architecture, Axis, SearchSpace, axes, label

_DIGITS = 9  # Picoseconds.
_RANK = 1e-9  # Singular values below this share of the largest are zero.
_DETERMINED = 1e-6  # A network with a leverage so close to 1 fits itself.


def fit(
  space: SearchSpace,
  architectures: Sequence[Architecture],
  ms: Sequence[float] | np.ndarray,
) -> LatencyTable:
  """Fits a time for every option to the times of whole networks.

  Whole networks say how much slower one option of a choice is than another, and
  no more: a constant may move from all options of a choice to the fixed part.
  By convention the fastest option of each choice is 0, and the fixed part is
  the time of the network of all the fastest options. No time is below 0
  (Lawson and Hanson 1974, non-negative least squares).

  The error is that of leave-one-out: the mean relative error of each network by
  a fit to all others. A network that alone has an option, or a combination that
  tells options apart, cannot be left out and does not count.

  Args:
    space: any search space; each single choice has its own times.
    architectures: of `space`, drawn at random; a few times as many as there are
      options.
    ms: time of each, ms.

  Returns:
    A table of `kind='choices'`, of the sizes of the space. Use
    `dataclasses.replace` to add what it was measured on.

  Raises:
    InputError: an architecture of another space, a time that is not positive
      and finite, fewer networks than free numbers, or options that no network
      has or that the networks cannot tell apart.

  Example:
    >>> from nasjax import space, spaces
    >>> tiny = spaces.tiny()
    >>> networks = [
    ...   space.Architecture.from_indices(tiny, i) for i in np.ndindex(2, 2, 3)]
    >>> times = [2 + 0.5 * a.indices[0] + 0.25 * a.indices[2] for a in networks]
    >>> table = fit(tiny, networks, times)
    >>> round(table.entries['fixed'], 6), round(table.error, 6)
    (2.0, 0.0)
    >>> round(table.entries['stage1_1/mbconv_k3_e3'], 6)
    0.5
  """
  options = axes(space.choices)
  times = _times(ms, len(architectures))
  for place, architecture in enumerate(architectures):
    if architecture.space != space:
      raise InputError(
        f'architectures[{place}] is of {architecture.space.name}, and the '
        f'space is {space.name}, or they differ in size; take networks of one '
        'space'
      )
  indices = np.array([a.indices for a in architectures], int)
  indices = indices.reshape(len(times), len(options))
  free = 1 + sum(len(names) - 1 for names in options.values())
  if len(times) < free:
    raise InputError(
      f'got the times of {len(times)} networks; {space.name} has {free} free '
      'numbers and needs at least as many networks, better a few times as many'
    )
  _check_occurring(options, indices)
  _check_told_apart(options, indices)
  design = _design(indices, options)
  # Times of at least 0: without that, noise may give a fast network less.
  found, _ = optimize.nnls(design, times)
  return LatencyTable(
    space.name,
    _entries(options, found),
    'choices',
    image_size=getattr(space, 'image_size', None),
    num_classes=getattr(space, 'num_classes', None),
    error=_left_out(times, times - design @ found, design[:, found > 0]),
    error_of='leave-one-out',
  )


def _times(ms: Sequence[float] | np.ndarray, number: int) -> np.ndarray:
  """Times as `f64[n]`."""
  times = list(ms)
  if len(times) != number:
    raise InputError(
      f'got {number} architectures and {len(times)} times; give one time each'
    )
  for place, time in enumerate(times):
    right = isinstance(time, int | float | np.integer | np.floating)
    if isinstance(time, bool) or not right or not 0 < time < math.inf:
      raise InputError(
        f'ms[{place}] is {time!r}; it must be a positive, finite number'
      )
  return np.array(times, np.float64)


def _check_occurring(
  options: dict[Axis, tuple[str, ...]], indices: np.ndarray
) -> None:
  """Raises InputError where no network has an option."""
  missing = [
    f'{label(axis)}/{name}'
    for column, (axis, names) in zip(indices.T, options.items(), strict=True)
    for place, name in enumerate(names)
    if not (column == place).any()
  ]
  if missing:
    raise InputError(
      f'no network has {", ".join(missing)}; add networks with these options'
    )


def _design(
  indices: np.ndarray, options: dict[Axis, tuple[str, ...]], first: int = 0
) -> np.ndarray:
  """`f64[n, columns]`: ones, and each choice's options from `first` on."""
  columns = [np.ones((len(indices), 1))]
  for column, names in zip(indices.T, options.values(), strict=True):
    columns.append(np.eye(len(names))[column, first:])
  return np.concatenate(columns, axis=1)


def _check_told_apart(
  options: dict[Axis, tuple[str, ...]], indices: np.ndarray
) -> None:
  """Raises InputError where options always come together."""
  _, singular, rows = np.linalg.svd(_design(indices, options, first=1))
  if singular[-1] >= _RANK * singular[0]:
    return
  names = [f'{label(a)}/{n}' for a, own in options.items() for n in own[1:]]
  listed = [
    name
    for name, part in zip(names, rows[-1][1:], strict=True)
    if abs(part) > _RANK
  ]
  raise InputError(
    f'the networks do not tell apart {", ".join(listed)}; draw more networks, '
    'each choice by itself'
  )


def _entries(
  options: dict[Axis, tuple[str, ...]], found: np.ndarray
) -> dict[str, float]:
  """Entries in which the fastest option of each choice is 0."""
  fixed, place, entries = float(found[0]), 1, {}
  for axis, names in options.items():
    own = found[place : place + len(names)]
    place += len(names)
    least = float(own.min())
    fixed += least
    for name, value in zip(names, own.tolist(), strict=True):
      entries[f'{label(axis)}/{name}'] = value - least
  # Less is rounding: without it, 1 ms may be a little more than 1 ms.
  numbers = {FIXED: fixed, **entries}
  return {key: round(ms, _DIGITS) for key, ms in numbers.items()}


def _left_out(
  times: np.ndarray, residuals: np.ndarray, design: np.ndarray
) -> float | None:
  """Mean relative error of each network by a fit to all others.

  It follows from the leverage of each network, without another fit (Allen 1974,
  the PRESS statistic). None where no network can be left out.

  Args:
    times: `f64[n]`.
    residuals: `f64[n]`, of the fit to all networks.
    design: `f64[n, columns]`, of the times above 0, which stay above 0 here.
  """
  left, _, _ = np.linalg.svd(design, full_matrices=False)
  rest = 1 - (left**2).sum(1)
  counted = rest > _DETERMINED
  if not counted.any():
    return None
  errors = np.abs(residuals[counted] / rest[counted]) / times[counted]
  return float(errors.mean())
