"""The networks of `nasjax` in PyTorch, as one would write them there.

Built from the same space and loaded with the same weights, so that outputs can
be compared. Inverted bottlenecks of kernel and expansion only.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from nasjax.ops import Conv, MBConv, Skip
from nasjax.space import Space
from nasjax.supernet.masks import Nest
from nasjax.supernet.sharing import paths

_TINY = 1e-6  # As in nasjax.supernet.masks.


def _norm(features: int) -> nn.BatchNorm2d:
  return nn.BatchNorm2d(features, eps=1e-5, momentum=0.1)


class SameConv(nn.Module):
  """Convolution whose output is `ceil(size / stride)`, padded as XLA does."""

  def __init__(self, inputs, features, kernel, stride=1, groups=1):
    super().__init__()
    self.kernel, self.stride = kernel, stride
    self.conv = nn.Conv2d(
      inputs, features, kernel, stride, 0, groups=groups, bias=False
    )

  def forward(self, x, taps=None):
    conv, size = self.conv, x.shape[-1]
    more = (-(-size // self.stride) - 1) * self.stride + self.kernel - size
    low = max(more, 0) // 2
    high = max(more, 0) - low
    # What pads alike on both sides the convolution does itself, for nothing.
    if low != high:
      x, low = functional.pad(x, (low, high, low, high)), 0
    weight = conv.weight if taps is None else conv.weight * taps
    return functional.conv2d(x, weight, None, self.stride, low, 1, conv.groups)


class Block(nn.Module):
  """Inverted bottleneck without the shortcut."""

  def __init__(self, inputs, mid, features, kernel, stride, expands):
    super().__init__()
    self.mid = mid
    if expands:
      self.expand = SameConv(inputs, mid, 1)
      self.expand_bn = _norm(mid)
    self.expands = expands
    self.dw = SameConv(mid, mid, kernel, stride, mid)
    self.dw_bn = _norm(mid)
    self.project = SameConv(mid, features, 1)
    self.project_bn = _norm(features)

  def forward(self, x, masks=None):
    h = x
    if self.expands:
      h = functional.relu6(self.expand_bn(self.expand(x)))
      if masks is not None and masks[2] is not None:
        plain = masks[2].view(1, -1, 1, 1)
        wide = functional.pad(x, (0, 0, 0, 0, 0, self.mid - x.shape[1]))
        h = (1 - plain) * h + plain * wide
    h = functional.relu6(
      self.dw_bn(self.dw(h, None if masks is None else masks[1]))
    )
    if masks is not None:
      h = h * masks[0].view(1, -1, 1, 1)
    return self.project_bn(self.project(h))


class Mixed(nn.Module):
  """Sum over ops of probability times output."""

  def __init__(self, slot, inputs):
    super().__init__()
    self.adds = slot.stride == 1 and inputs == slot.features
    self.ops = nn.ModuleDict()
    for op in slot.ops:
      self.ops[op.name] = nn.Identity()
      if isinstance(op, MBConv):
        mid = op.expanded(inputs)
        self.ops[op.name] = Block(
          inputs, mid, slot.features, op.kernel, slot.stride, mid != inputs
        )

  def forward(self, x, probs):
    outputs = []
    for op in self.ops.values():
      y = op(x)
      outputs.append(y + x if self.adds and isinstance(op, Block) else y)
    if len(outputs) == 1:
      return outputs[0]
    return sum(p * y for p, y in zip(probs, outputs, strict=True))


class Nested(nn.Module):
  """One block that is all ops of a slot, by masks."""

  def __init__(self, slot, inputs):
    super().__init__()
    nests = [p for p in paths(slot, inputs) if p.nest is not None]
    assert len(nests) == 1, 'ops of one slot that share no weights'
    nest: Nest = nests[0].nest
    self.places = list(nests[0].places)
    self.skips = [i for i, op in enumerate(slot.ops) if isinstance(op, Skip)]
    self.adds = slot.stride == 1 and inputs == slot.features
    self.inputs, self.name = inputs, nest.name
    self.ops = nn.ModuleDict()
    self.ops[nest.name] = Block(
      inputs, nest.mid, slot.features, nest.kernel, slot.stride, True
    )
    sizes = sorted({op.kernel for op in nest.ops})
    reach = np.abs(np.arange(nest.kernel) - nest.kernel // 2)
    ring = np.maximum(reach[:, None], reach[None])
    constants = {
      'in_it': np.arange(nest.mid) < nest.mids[:, :1],
      'has_size': [[op.kernel == k for k in sizes] for op in nest.ops],
      'boxes': np.stack([ring <= k // 2 for k in sizes]),
      'is_plain': nest.plain,
      'comes_in': np.arange(nest.mid) < inputs,
    }
    for name, value in constants.items():
      value = torch.tensor(np.asarray(value), dtype=torch.get_default_dtype())
      self.register_buffer(name, value)

  def forward(self, x, probs):
    own = probs[self.places]
    total = own.sum()
    q = own / total
    kept = q @ self.in_it

    def if_kept(events):
      both = torch.einsum('j,jc,jn->cn', q, self.in_it, events)
      always = _TINY * (q @ events)
      return (both + always) / (kept + _TINY)[:, None]

    taps = torch.einsum('cn,nuv->cuv', if_kept(self.has_size), self.boxes)
    plain = None
    if self.is_plain.any():
      plain = if_kept(self.is_plain)[:, 0] * self.comes_in
    y = self.ops[self.name](x, (kept, taps[:, None], plain))
    y = total * (y + x if self.adds else y)
    for i in self.skips:
      y = y + probs[i] * x
    return y


class Network(nn.Module):
  """From images `[N, C, H, W]` and probabilities by slot to logits."""

  def __init__(self, space: Space, kind: str):
    super().__init__()
    inputs, self.slots, self.names = space.channels, nn.ModuleList(), []
    for slot in space.slots[:-1]:
      (first, *_) = slot.ops
      if isinstance(first, Conv):
        conv = SameConv(inputs, slot.features, first.kernel, slot.stride)
        module = nn.Sequential(conv, _norm(slot.features), nn.ReLU6())
      elif kind == 'entangled' and len(slot.ops) > 1:
        module = Nested(slot, inputs)
      else:
        module = Mixed(slot, inputs)
      self.slots.append(module)
      self.names.append(slot.name)
      inputs = slot.features
    self.dense = nn.Linear(inputs, space.num_classes)

  def forward(self, x, probs):
    for name, module in zip(self.names, self.slots, strict=True):
      own = isinstance(module, nn.Sequential)
      x = module(x) if own else module(x, probs.get(name))
    return self.dense(x.mean((2, 3)))


def load(network: Network, params: dict) -> None:
  """Copies weights of the same space's network."""

  def fill(tensor, value, axes=None):
    value = np.asarray(value)
    value = value if axes is None else value.transpose(axes)
    with torch.no_grad():
      tensor.copy_(torch.tensor(value))

  def conv(module, tree):
    # Depthwise kernels are [k, k, 1, C]; all others [k, k, in, out].
    fill(module.conv.weight, tree['kernel'], (3, 2, 0, 1))

  def norm(module, tree):
    fill(module.weight, tree['scale'])
    fill(module.bias, tree['bias'])

  for name, module in zip(network.names, network.slots, strict=True):
    trees = params[name]
    if isinstance(module, nn.Sequential):
      (tree,) = trees.values()
      conv(module[0], tree['conv'])
      norm(module[1], tree['bn'])
      continue
    for op, block in module.ops.items():
      for layer, leaf in trees.get(op, {}).items():
        put = norm if layer.endswith('_bn') else conv
        put(getattr(block, layer), leaf)
  (tree,) = params['classifier'].values()
  fill(network.dense.weight, tree['dense']['kernel'], (1, 0))
  fill(network.dense.bias, tree['dense']['bias'])
