"""Whether an exported file computes what the network does."""

from typing import NamedTuple

import numpy as np

# Of the largest logit: float32 kernels sum in different orders.
TOLERANCE = 1e-4
# Times the rounding of JAX in float32; two roundings differ by twice of one.
_MARGIN = 10


class Parity(NamedTuple):
  """How far the outputs of a file are from those of the network.

  Attributes:
    images: number of images that were compared.
    max_difference: largest difference of two logits.
    relative_difference: it over the largest logit.
    relative_rms: root of the mean squared difference over that of the logits.
    same_top: fraction of the images with the same most probable class; of
      classes whose logits are equal up to the tolerance, either counts.
    tolerance: largest relative difference of a file that is right.
  """

  images: int
  max_difference: float
  relative_difference: float
  relative_rms: float
  same_top: float
  tolerance: float = TOLERANCE


def tolerance_of(precise: np.ndarray, expected: np.ndarray) -> float:
  """The tolerance for a network whose float32 logits are inexact themselves.

  Untrained networks may amplify rounding from block to block. A file is right
  if it is about as close to the exact logits as float32 in JAX is.

  Args:
    precise: `f64[n, classes]`, of the network in double precision.
    expected: `f32[n, classes]`, of the network.

  Example:
    >>> exact = np.array([[1.0, 2.0]])
    >>> tolerance_of(exact, exact), tolerance_of(exact, exact + 0.01)
    (0.0001, 0.05)
  """
  rounding = compare(precise, expected).relative_difference
  return max(TOLERANCE, round(_MARGIN * rounding, 6))


def compare(
  expected: np.ndarray, found: np.ndarray, tolerance: float = TOLERANCE
) -> Parity:
  """Compares logits.

  Args:
    expected: `f32[n, classes]`, of the network.
    found: `f32[n, classes]`, of the file.
    tolerance: see `Parity`.

  Example:
    >>> logits = np.array([[4.0, 1.0], [2.0, 3.0]])
    >>> compare(logits, logits + [[0.0, 0.0], [0.0, -0.5]]).max_difference
    0.5
  """
  expected, found = (np.asarray(x, np.float64) for x in (expected, found))
  difference = np.abs(found - expected)
  # What is not finite is infinitely far from what is.
  difference = np.where(np.isfinite(difference), difference, np.inf)
  rows = np.arange(len(expected))
  best = expected[rows, expected.argmax(1)]
  chosen = expected[rows, found.argmax(1)]
  scale = max(float(np.abs(expected).max()), 1e-30)
  allowed = 2 * np.minimum(difference.max(1), tolerance * scale)
  rms = max(float(np.sqrt((expected**2).mean())), 1e-30)
  return Parity(
    len(expected),
    float(difference.max()),
    float(difference.max()) / scale,
    float(np.sqrt((difference**2).mean())) / rms,
    float((best - chosen <= allowed).mean()),
    tolerance,
  )


def fits(found: Parity) -> bool:
  """Whether a file computes what its network does."""
  return found.relative_difference <= found.tolerance and found.same_top == 1


def check(what: str, found: Parity) -> None:
  """Raises RuntimeError where a float file differs from its network.

  It is no fault of the input: the converter or the runtime computed something
  else.
  """
  if not fits(found):
    raise RuntimeError(
      f'{what} computes other outputs than the network: logits differ by '
      f'{found.relative_difference:.2g} of the largest (at most '
      f'{found.tolerance:g} is right), and {found.same_top:.1%} of '
      f'{found.images} images have the '
      'same class; nothing was written'
    )
