"""Weight sharing by masks: smaller ops are parts of the largest.

Inverted bottlenecks that differ in kernel and width alone are nested: a small
kernel is the middle of a larger one (Stamoulis et al. 2019, Single-Path NAS,
section 3), and a narrow layer is the first channels of a wide one (Yu et al.
2019, slimmable networks, section 3). So the largest op holds the weights of
all ops, and a mask selects one of them. Probabilities over ops give expected
masks.
"""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.ops import MBConv

# Far below any probability that matters, far above where 1 / x**2 overflows.
_TINY = 1e-6

_sum = functools.partial(jnp.einsum, precision='highest')


@dataclasses.dataclass(frozen=True)
class Nest:
  """Ops that share weights, and the possible input widths.

  Attributes:
    ops: ops that differ only in kernel and middle width.
    widths: all possible numbers of input channels, ascending.

  Example:
    >>> nest = Nest((MBConv(5, 3), MBConv(3, 6)), (4, 8))
    >>> nest.kernel, nest.mid, nest.name
    (5, 48, 'mbconv_k5_e6')
    >>> nest.mids.tolist()
    [[12, 24], [24, 48]]
  """

  ops: tuple[MBConv, ...]
  widths: tuple[int, ...]

  @property
  def mids(self) -> np.ndarray:
    """`int[ops, widths]`: channels in the middle."""
    return np.array([[op.expanded(n) for n in self.widths] for op in self.ops])

  @property
  def squeezed(self) -> np.ndarray:
    """`int[ops, widths]`: channels in a squeeze-excite, where there is one."""
    return np.array([[op.squeezed(n) for n in self.widths] for op in self.ops])

  @property
  def plain(self) -> np.ndarray:
    """`bool[ops, widths]`: whether there is no expansion convolution."""
    return self.mids == np.array(self.widths)[None]

  @property
  def mid(self) -> int:
    return int(self.mids.max())

  @property
  def kernel(self) -> int:
    return max(op.kernel for op in self.ops)

  @property
  def name(self) -> str:
    """Name of an op with the largest width and kernel, in the slot or not."""
    widest = max(self.ops, key=lambda op: op.expanded(self.widths[-1]))
    return dataclasses.replace(widest, kernel=self.kernel).name


class Masks(NamedTuple):
  """Expected masks of a nest's weights; at one-hot all are 0 or 1.

  Attributes:
    total: `f32[]`, probability of all ops of the nest.
    taps: `f32[k, k, 1, mid]`, factor of each tap of the depthwise kernel.
    kept: `f32[mid]`, factor of each middle channel.
    plain: `f32[mid]`, weight of the unexpanded input in the input of each
      channel of the depthwise convolution.
    squeezed: `f32[squeezed]`, factor of each channel of the squeeze-excite;
      None without one.
  """

  total: jax.Array
  taps: jax.Array
  kept: jax.Array
  plain: jax.Array
  squeezed: jax.Array | None


def masks(nest: Nest, probs: jax.Array, widths: jax.Array) -> Masks:
  """Expectations over ops and widths.

  With p_j the probability of op j, P = sum_j p_j, q_j = p_j / P, r_w that of
  the input width w, and M_jw the middle channels,

      kept_c       = sum_jw q_j r_w [c < M_jw]
      taps_c(u, v) = sum_jw q_j r_w [c < M_jw] [(u, v) in kernel j] / kept_c

  `kept` is the probability that the channel exists; `taps` is the probability
  that its kernel has the tap, given that the channel exists. So the output of a
  channel does not depend on ops that lack it. `plain` has the form of `taps`.

  Args:
    nest: the ops that share weights.
    probs: `f32[ops]`, probabilities of these ops; they need not sum to 1.
    widths: `f32[widths]`, probabilities of the input widths.

  Returns:
    The expected masks.

  Example:
    >>> nest = Nest((MBConv(5, 1), MBConv(3, 2)), (2,))
    >>> found = masks(nest, jnp.array([0.3, 0.1]), jnp.ones(1))
    >>> found.kept.tolist(), found.taps[0, 0, 0].round(2).tolist()
    ([1.0, 1.0, 0.25, 0.25], [0.75, 0.75, 0.0, 0.0])
  """
  total = probs.sum()
  joint = _conditional(probs, total)[:, None] * widths[None]
  in_it = _below(nest.mids, probs.dtype)
  kept = _sum('jw,jwc->c', joint, in_it)

  def if_kept(events):
    """`[mid, n]`: of `[ops, widths, n]`, given that the channel is kept."""
    events = events.astype(probs.dtype)
    both = _sum('jw,jwc,jwn->cn', joint, in_it, events)
    # Channels with zero probability use the unconditional mask, so their
    # gradient stays informative. At one-hot the quotient is exactly 0 or 1.
    always = _TINY * _sum('jw,jwn->n', joint, events)
    return (both + always[None]) / (kept + _TINY)[:, None]

  sizes, boxes = _boxes(nest)
  has_size = np.array([[op.kernel == k for k in sizes] for op in nest.ops])
  shape = *joint.shape, len(sizes)
  size = if_kept(np.broadcast_to(has_size[:, None], shape))
  taps = _sum('cn,nuv->uvc', size, boxes.astype(probs.dtype))[:, :, None]
  # The unexpanded input has no more channels than the input.
  comes_in = np.arange(nest.mid) < nest.widths[-1]
  plain = if_kept(nest.plain[..., None])[:, 0] * comes_in.astype(probs.dtype)
  squeezed = None
  if nest.ops[0].se:
    squeezed = _sum('jw,jwc->c', joint, _below(nest.squeezed, probs.dtype))
  return Masks(total, taps, kept, plain, squeezed)


def _conditional(probs, total):
  """Probabilities of the ops, given that one of these ops is chosen."""
  # If all are zero, use equal ones, so that the block has a gradient.
  is_there = total > _TINY
  ratios = probs / jnp.where(is_there, total, 1)
  return jnp.where(is_there, ratios, 1 / len(probs))


def _below(sizes, dtype):
  """`[..., max(sizes)]`: 1 for the first channels, as many as each size."""
  return (np.arange(sizes.max()) < sizes[..., None]).astype(dtype)


def _boxes(nest):
  """Kernel sizes, and `bool[sizes, k, k]`: the taps of each."""
  sizes = sorted({op.kernel for op in nest.ops})
  reach = np.abs(np.arange(nest.kernel) - nest.kernel // 2)
  ring = np.maximum(reach[:, None], reach[None])
  return sizes, np.stack([ring <= k // 2 for k in sizes])
