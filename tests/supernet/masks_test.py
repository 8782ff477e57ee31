"""Masks: the expectation of masks at one-hot."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.supernet import masks
from tests.supernet.entangled_cases import MBConv


def test_masks_are_the_expectation_of_masks_at_one_hot(x64):
  """Over ops and widths; a kernel's is that of the channels that are there."""
  candidates = MBConv(3, 1), MBConv(5, 3, se=2), MBConv(7, 2), MBConv(3, mid=9)
  candidates = tuple(dataclasses.replace(op, se=2) for op in candidates)
  many = masks.Nest(candidates, (3, 4, 9))
  p, r = jnp.array([0.2, 0.1, 0.05, 0.25]), jnp.array([0.5, 0.2, 0.3])

  def parts(p, r):
    """All that is linear: shares of channels, and of taps with channels."""
    found = masks.masks(many, p, r)
    assert found.taps.shape == (7, 7, 1, 27)
    joint = found.kept[None, None, None] * found.taps
    return found.kept, joint, found.kept * found.plain, found.squeezed

  mixture = parts(p, r)
  rows = [
    (q, w, p[i] / p.sum() * r[j])
    for i, q in enumerate(jnp.eye(4))
    for j, w in enumerate(jnp.eye(3))
  ]
  each = [parts(q, w) for q, w, _ in rows]
  for part in each:
    for mask in part:
      assert set(np.unique(mask)) <= {0.0, 1.0}
  weighted = [
    jax.tree.map(lambda z, c=c: c * z, part)
    for (_, _, c), part in zip(rows, each, strict=True)
  ]
  total = jax.tree.map(lambda *z: sum(z), *weighted)
  # What keeps quotients finite is 1e-6 in the denominator.
  chex.assert_trees_all_close(mixture, total, atol=1e-6)
  assert float(masks.masks(many, p, r).total) == pytest.approx(0.6)
