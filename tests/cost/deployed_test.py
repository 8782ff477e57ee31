"""Size of the exported file and its working memory, by hand and by files."""

import numpy as np
import pytest

from nasjax import cost, derive, ops, space, spaces, zoo
from nasjax.cost import deployed
from nasjax.space import Slot, Space
from tests.conftest import refused
from tests.derive.derive_cases import drawn_alphas, every_architecture


def _tiny():
  s = spaces.tiny(image_size=28)
  return s.fix(space.Architecture.from_indices(s, (1, 1, 2)))


# Bytes in float32 and int8 of files that litert-converter 0.5.0 and
# litert-quantizer 0.11.0 wrote, with weights that are not all alike.
FILES = {
  'mobilenet_v2': (
    lambda: zoo.mobilenet_v2(image_size=64, num_classes=10, width=0.25),
    (1_038_776, 450_560),
  ),
  'mobilenet_v3_small': (
    lambda: zoo.mobilenet_v3_small(image_size=64, num_classes=10),
    (6_152_716, 1_862_304),
  ),
  'mnasnet_b1': (
    lambda: zoo.mnasnet_b1(image_size=64, num_classes=10),
    (12_444_464, 3_673_408),
  ),
  'tiny': (_tiny, (13_844, 14_496)),
}


@pytest.mark.parametrize('name', FILES)
def test_a_file_is_not_larger_and_little_smaller(name):
  make, files = FILES[name]
  for dtype, written in zip(cost.DTYPES, files, strict=True):
    stated = 1000 * cost.size_kb(make(), dtype).constant
    # Of a small file more is names and operators.
    most = 1.2 if name == 'tiny' else 1.03
    assert written <= stated <= most * written


def test_weights_and_channels_are_counted():
  """A layer more by itself: all else of the file cancels out."""

  def chain(*added):
    slots = [Slot('stem', (ops.Conv(3),), 8), *added]
    return Space('chain', 8, 3, (*slots, Slot('end', (ops.Classifier(),), 5)))

  conv = Slot('conv', (ops.Conv(5, 'relu'),), 8)
  block = Slot('block', (ops.MBConv(3, 4, se=4),), 8)
  layer = None
  for dtype, weight, channel in (('float32', 4, 4), ('int8', 1, 28)):
    size = lambda s, dtype=dtype: cost.size_kb(s, dtype).constant  # noqa: E731
    more = 1000 * (size(chain(conv)) - size(chain()))
    rest = more - weight * 5 * 5 * 8 * 8 - channel * 8
    layer = rest if layer is None else layer
    assert rest == pytest.approx(layer, abs=0.5)
    more = 1000 * (size(chain(block)) - size(chain()))
    # Expansion, depthwise, squeeze and excite of 8 channels, projection.
    weights = 8 * 32 + 9 * 32 + 2 * 32 * 8 + 32 * 8
    channels = 32 + 32 + 8 + 32 + 8
    rest = more - weight * weights - channel * channels
    assert rest == pytest.approx(5 * layer, abs=0.5)


@pytest.mark.parametrize('make', [spaces.tiny_width, spaces.tiny_macro])
def test_working_memory_is_that_of_the_dtype(make):
  s = make()
  memory = cost.memory(s)
  for dtype, bytes_each in (('float32', 4), ('int8', 1)):
    ram = cost.ram_kb(s, dtype)
    assert (ram.name, ram.unit, ram.reduction) == ('ram_kb', 'kB', 'max')
    for a in every_architecture(s):
      assert ram.exact(a) == memory.exact(a) * bytes_each / 4 / 1000


@pytest.mark.parametrize('make', [spaces.tiny_width, spaces.tiny_macro])
@pytest.mark.parametrize('dtype', cost.DTYPES)
def test_what_is_derived_keeps_size_and_memory(make, dtype):
  s = make()
  size, ram = cost.size_kb(s, dtype), cost.ram_kb(s, dtype)
  networks = every_architecture(s)
  for a in networks[::7]:
    assert size.exact(a) == cost.size_kb(s.fix(a), dtype).constant
  rng = np.random.default_rng(0)
  for _ in range(8):
    alphas = drawn_alphas(s, rng)
    inside = networks[rng.integers(len(networks))]
    limits = {size: size.exact(inside), ram: ram.exact(inside)}
    found = derive.within(s, alphas, limits)
    kept = [
      a
      for a in networks
      if all(c.exact(a) <= limit for c, limit in limits.items())
    ]
    assert found in kept
    best = max(derive.log_prob(a, alphas) for a in kept)
    assert derive.log_prob(found, alphas) == pytest.approx(best)


@pytest.mark.parametrize(
  'op',
  [
    ops.MBConv(3, 1),
    ops.MBConv(5, 3, se=4),
    ops.MBConv(3, 6, se=4, se_from='input', se_divisor=4),
    ops.MBConv(3, 2, groups=2, bias=True),
    ops.MBConv(7, mid=20),
    ops.MBConv(3, mid=8, se=2),
  ],
)
def test_closed_forms_are_what_is_traced(op):
  for features, stride in ((8, 1), (8, 2), (12, 1)):
    block = space.OpBlock(op, features, stride)
    traced = deployed.traced_kernels(block, (1, 6, 6, 8))
    assert sorted(op.kernels(8, features)) == sorted(traced)


def test_an_inherited_closed_form_is_not_trusted():
  class Wider(ops.MBConv):
    def module(self, features, stride, numerics):
      return ops.MBConv(self.kernel, 8).module(features, stride, numerics)

  def size(op):
    chain = Space('one', 8, 4, (Slot('only', (op,), 8),))
    return cost.size_kb(chain).constant

  assert size(Wider(3, 2)) == size(ops.MBConv(3, 8)) > size(ops.MBConv(3, 2))


def test_another_dtype_is_refused():
  for resource in (cost.size_kb, cost.ram_kb):
    refused('dtype is .*float32, int8', resource, spaces.tiny(), 'int4')
