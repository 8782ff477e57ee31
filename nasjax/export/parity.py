"""Whether an exported file computes what the network does."""

from typing import NamedTuple

import numpy as np

# Of the largest logit: float32 kernels sum in different orders.
TOLERANCE = 1e-4


class Parity(NamedTuple):
  """How far the outputs of a file are from those of the network.

  Attributes:
    images: number of images that were compared.
    max_difference: largest difference of two logits.
    relative_difference: it over the largest logit.
    relative_rms: root of the mean squared difference over that of the logits.
    same_top: fraction of the images with the same most probable class; of
      classes whose logits are equal up to `TOLERANCE`, either counts.
  """

  images: int
  max_difference: float
  relative_difference: float
  relative_rms: float
  same_top: float


def compare(expected: np.ndarray, found: np.ndarray) -> Parity:
  """Compares logits.

  Args:
    expected: `f32[n, classes]`, of the network.
    found: `f32[n, classes]`, of the file.

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
  allowed = 2 * np.minimum(difference.max(1), TOLERANCE * scale)
  rms = max(float(np.sqrt((expected**2).mean())), 1e-30)
  return Parity(
    len(expected),
    float(difference.max()),
    float(difference.max()) / scale,
    float(np.sqrt((difference**2).mean())) / rms,
    float((best - chosen <= allowed).mean()),
  )


def check(what: str, found: Parity) -> None:
  """Raises RuntimeError where a float file differs from its network.

  It is no fault of the input: the converter or the runtime computed something
  else.
  """
  if found.relative_difference > TOLERANCE or found.same_top < 1:
    raise RuntimeError(
      f'{what} computes other outputs than the network: logits differ by '
      f'{found.relative_difference:.2g} of the largest (at most {TOLERANCE:g} '
      f'is right), and {found.same_top:.1%} of {found.images} images have the '
      'same class; nothing was written'
    )
