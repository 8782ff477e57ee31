"""Published networks: totals, layers, blocks and widths, to the unit."""

import inspect
import itertools
import json
import pathlib

import pytest

from experiments.flags import names
from nasjax import cost, ops, zoo
from tests.zoo.zoo_cases import TOTALS, count_totals, layer_table


def _json(file):
  path = pathlib.Path(__file__).resolve().parents[1] / 'reference' / file
  return json.loads(path.read_text())


def test_every_network_is_in_the_table():
  assert set(names.NETWORKS) == set(TOTALS)
  functions = (getattr(zoo, name) for name in zoo.__all__)
  made = {f.__name__ for f in functions if f.__module__ != 'nasjax.ops.core'}
  assert made - {'small_images', 'scale_widths'} == set(TOTALS)


@pytest.mark.quick_every(5)
@pytest.mark.parametrize('name', TOTALS)
def test_totals(name):
  network = names.NETWORKS[name]()
  assert network.name == name
  assert not network.choices
  assert count_totals(network) == TOTALS[name]
  table, _ = layer_table(name)
  assert (table.macs, table.params) == TOTALS[name]


def test_totals_are_those_of_independent_counters():
  rows = _json('networks.json')
  assert len(rows) == 13
  for name, row in rows.items():
    assert TOTALS[name] == (row['macs'], row['params']), name


@pytest.mark.quick_every(4)
@pytest.mark.parametrize(
  'name', ['efficientnet_b0', 'mnasnet_b1', 'mobilenet_v2', 'shufflenet_v2']
)
def test_layers_in_their_order(name):
  layers = _json('layers.json')[name]['layers']
  expected = [(macs, params) for _, macs, params in layers]
  assert [(row.macs, row.params) for row in layer_table(name)[1]] == expected


def _parsed(text):
  """'3x3 s2 16->24 g16 bias' as kernel, stride, cin, cout, groups, bias."""
  kernel, stride, widths, groups, *bias = text.split()
  cin, cout = widths.split('->')
  k = int(kernel.split('x')[0])
  return k, int(stride[1:]), int(cin), int(cout), int(groups[1:]), bool(bias)


def _end(layer):
  k, s = (layer.get('kernel') or [1])[0], (layer.get('stride') or [1])[0]
  return k, s, layer['cin'], layer['cout'], layer['groups'], layer['bias']


def _convolutions(block):
  """Those of a block of the reference, squeeze-excite in its place."""
  found = [_parsed(text) for text in block.get('conv_seq', ())]
  if block.get('se_reduce'):
    assert block['se_bias']
    mid, squeezed = block['se_from'], block['se_reduce']
    found[-1:-1] = [
      (1, 1, mid, squeezed, 1, True),
      (1, 1, squeezed, mid, 1, True),
    ]
  return found


def _built(row):
  kernel, stride = (row.kernel or (1,))[0], (row.stride or (1,))[0]
  groups, cin, cout = max(1, row.groups), row.input[-1], row.output[-1]
  weights = kernel**2 * (cin // groups) * cout
  assert row.params in (weights, weights + cout)
  return kernel, stride, cin, cout, groups, row.params == weights + cout


REFERENCE = [name for name in TOTALS if name[:6] not in ('squeez', 'resnet')]


@pytest.mark.quick_every(5)
@pytest.mark.parametrize('name', REFERENCE)
def test_convolutions_are_those_of_the_reference(name):
  network = _json('blocks.json')[name]
  expected = [_end(layer) for layer in network['stem']]
  for block in network['blocks']:
    expected += _convolutions(block)
  expected += [_end(layer) for layer in network['head']]
  assert [_built(row) for row in layer_table(name)[1]] == expected


def _blocks(name):
  """Slots after the stem, with the shapes that enter and leave them."""
  network = getattr(zoo, name)()
  shape = 1, 224, 224, 3
  for slot in network.slots:
    place = slot.ops[0], slot.features, slot.stride, shape
    before, shape = shape, cost.op_shape(*place)
    if slot.name.startswith('stage') or slot.name == 'head':
      yield slot, place, before, shape


@pytest.mark.parametrize('name', REFERENCE)
def test_blocks_are_those_of_the_reference(name):
  blocks = _json('blocks.json')[name]['blocks']
  # The reference has MnasNet-B1's first block in the stem.
  slots = itertools.islice(_blocks(name), name == 'mnasnet_b1', None)
  counted = 0
  for block, (slot, place, before, after) in zip(blocks, slots, strict=False):
    op, where = slot.ops[0], (name, slot.name)
    if 'conv_seq' not in block:
      assert op == ops.Skip(), where
      continue
    assert before[3] == block['cin'], where
    assert after[3] == slot.features == block['cout'], where
    assert list(before[1:3]) == block['in_hw'], where
    assert list(after[1:3]) == block['out_hw'], where
    if 'macs' in block:
      assert cost.op_macs(*place) == block['macs'], where
      assert cost.op_params(*place) == block['params'], where
      counted += 1
    assert _activations(op) == set(block['acts']), where
    if isinstance(op, ops.MBConv):
      same = slot.stride == 1 and before[3] == slot.features
      assert (op.residual and same) == block['residual'], where
  named = sum('macs' in block for block in blocks)
  assert counted == named


def _activations(op):
  """By the reference's names."""
  used = {getattr(op, 'activation', 'relu')}
  if getattr(op, 'se', 0):
    used |= {op.se_activation, op.se_gate}
  other = {
    'swish': 'silu',
    'hard_swish': 'hardswish',
    'hard_sigmoid': 'hardsigmoid',
  }
  return {other.get(name, name) for name in used}


@pytest.mark.parametrize(
  ('name', 'width', 'millions', 'params'),
  [
    # As torchvision prints them with its weights.
    ('mnasnet_b1', 0.5, 104, 2218512),
    ('mnasnet_b1', 0.75, 215, 3170208),
    ('mnasnet_b1', 1.3, 526, 6282256),
    ('shufflenet_v2', 0.5, 40, 1366792),
    ('shufflenet_v2', 1.5, 296, 3503624),
    ('shufflenet_v2', 2.0, 583, 7393996),
    ('mobilenet_v3_small', 1.0, 57, 2542856),
    ('resnet50', None, 4089, 25557032),
  ],
)
def test_widths_have_their_published_params(name, width, millions, params):
  scale = {} if width is None else {'width': width}
  network = names.NETWORKS[name](**scale)
  macs, counted = count_totals(network)
  assert counted == params
  assert abs(macs / 1e6 - millions) <= 0.5


# MACs and params of other implementations, counted layer by layer on them:
# torchvision 0.29 and timm 1.0.31, which agree where both have a network, and
# pytorchcv 0.0.74 for the widths of MobileNet V1 that have to be rounded.
SCALED = {
  'mobilenet_v1': {
    0.25: (41030272, 470072),
    0.35: (75464759, 765881),
    0.5: (149497088, 1331592),
    0.75: (325400448, 2585560),
    1.25: (879516800, 6270840),
    1.4: (1094373002, 7671481),
  },
  'mobilenet_v2': {
    0.25: (37201312, 1519112),
    0.35: (59285808, 1677128),
    0.5: (97131840, 1968680),
    0.75: (209069792, 2636424),
    1.3: (509374560, 5386792),
    1.4: (582195824, 6108776),
    2.0: (1137428224, 11258088),
  },
  'mobilenet_v3_large': {
    0.75: (154560624, 3993528),
    1.25: (355221920, 7551976),
    1.4: (415765088, 8814624),
  },
  'mobilenet_v3_small': {
    0.75: (43399344, 2041872),
    1.25: (90800864, 3205384),
    1.4: (103073984, 3644456),
  },
  'mnasnet_b1': {
    0.35: (58878912, 1788232),
    0.5: (104455968, 2218512),
    0.75: (215493104, 3170208),
    1.3: (526362432, 6282256),
    1.4: (588799408, 7115728),
  },
  'mnasnet_a1': {
    0.5: (103162992, 2082006),
    0.75: (223448480, 2912278),
    1.4: (586317952, 6105992),
  },
  'shufflenet_v2': {
    0.5: (40476448, 1366792),
    1.5: (295759392, 3503624),
    2.0: (583253464, 7393996),
  },
}
BY_TORCHVISION = {
  'mobilenet_v3_large': {
    0.5: (64962192, 1734576),
    0.75: (140033816, 3377576),
    1.4: (414926736, 9989328),
  },
  'mobilenet_v3_small': {
    0.5: (18970736, 917264),
    0.75: (39115576, 1653920),
    1.4: (103657088, 4373824),
  },
}


@pytest.mark.quick_every(4)
@pytest.mark.parametrize('name', SCALED)
def test_widths_have_the_counts_of_other_implementations(name):
  make = names.NETWORKS[name]
  for width, counts in SCALED[name].items():
    assert count_totals(make(width=width)) == counts, width
  for width, counts in BY_TORCHVISION.get(name, {}).items():
    assert count_totals(make(width=width, rule='torchvision')) == counts, width


def test_every_network_with_a_width_is_among_them():
  takes = {
    name
    for name, make in names.NETWORKS.items()
    if 'width' in inspect.signature(make).parameters
  }
  assert takes == set(SCALED)


@pytest.mark.parametrize(
  ('name', 'width', 'macs', 'params'),
  [
    # Howard et al. 2017, table 6.
    ('mobilenet_v1', 0.75, 325, 2.6),
    ('mobilenet_v1', 0.5, 149, 1.3),
    ('mobilenet_v1', 0.25, 41, 0.5),
    # The README of MobileNetV3's reference code.
    ('mobilenet_v3_large', 0.75, 155, 4.0),
  ],
)
def test_widths_have_their_published_millions(name, width, macs, params):
  network = names.NETWORKS[name](width=width)
  counted = count_totals(network)
  assert network.name == f'{name}@{width:g}'
  assert abs(counted[0] / 1e6 - macs) <= 0.5
  assert abs(counted[1] / 1e6 - params) <= 0.05
