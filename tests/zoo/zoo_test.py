"""Published networks: totals, layers, blocks and widths, to the unit."""

import dataclasses
import functools
import inspect
import itertools
import json

import jax
import jax.numpy as jnp
import optax
import pytest

from experiments import count as count_script
from experiments import names
from nasjax import cost, count, data, derive, ops, train, zoo
from nasjax.errors import InputError
from nasjax.space import Architecture, fix
from nasjax.supernet import Supernet

# MACs and params at 224 pixels and 1000 classes.
TOTALS = {
  'mobilenet_v1': (568740352, 4231976),
  'mobilenet_v2': (300774272, 3504872),
  'mobilenet_v3_large': (216589760, 5483032),
  'mobilenet_v3_small': (56510400, 2542856),
  'mnasnet_b1': (314415872, 4383312),
  'mnasnet_a1': (311579072, 3887038),
  'fbnet_a': (244452664, 4321232),
  'fbnet_b': (291004424, 4818216),
  'fbnet_c': (378136224, 5592784),
  'spnasnet': (333467072, 4421616),
  'proxylessnas_mobile': (320427584, 4080512),
  'proxylessnas_cpu': (439243864, 4361648),
  'proxylessnas_gpu': (465260160, 7119848),
  'proxylessnas_mobile_14': (580883408, 6857568),
  'efficientnet_b0': (385814752, 5288548),
  'efficientnet_lite0': (385187552, 4652008),
  'hardcorenas_a': (224227936, 5260232),
  'hardcorenas_f': (341905696, 8199688),
  'shufflenet_v2': (144907992, 2278604),
  'squeezenet_1_1': (349151936, 1235496),
  'resnet18': (1814073344, 11689512),
  'resnet50': (4089184256, 25557032),
}
NO_NORM = {'squeezenet_1_1'}


def _totals(network):
  return cost.macs(network).constant, cost.params(network).constant


@functools.cache
def _table(name):
  """Layers of the whole built network, normalisation left out."""
  network = getattr(zoo, name)()
  net = Supernet(network, ops.Numerics(lowering='native'))
  images = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
  variables = count.module_shapes(net, images, {}, train=False)
  table = count.table(net, variables, images, {}, train=False)
  return table, [row for row in table.rows if row.op != 'other']


def _json(shared, path):
  return json.loads((shared / 'reference' / path).read_text())


# --- Totals ------------------------------------------------------------------


def test_every_network_is_in_the_table():
  assert set(names.NETWORKS) == set(TOTALS)
  functions = (getattr(zoo, name) for name in zoo.__all__)
  made = {f.__name__ for f in functions if f.__module__ != 'nasjax.ops.core'}
  assert made - {'small_images', 'scale_widths'} == set(TOTALS)


@pytest.mark.parametrize('name', TOTALS)
def test_totals(name):
  network = names.NETWORKS[name]()
  assert network.name == name
  assert not network.choices
  assert _totals(network) == TOTALS[name]
  table, _ = _table(name)
  assert (table.macs, table.params) == TOTALS[name]


def test_totals_are_those_of_independent_counters(shared):
  rows = _json(shared, 'networks.json')['networks']
  for name, row in rows.items():
    name, _, width = name.partition('@')
    assert width in ('', '1.0')
    assert TOTALS[name] == (row['macs'], row['params']), name


# --- Layers and blocks -------------------------------------------------------


@pytest.mark.parametrize(
  ('file', 'name'),
  [
    ('efficientnet_b0', 'efficientnet_b0'),
    ('mnasnet1_0', 'mnasnet_b1'),
    ('mobilenet_v2', 'mobilenet_v2'),
    ('shufflenet_v2_x1_0', 'shufflenet_v2'),
  ],
)
def test_layers_in_their_order(shared, file, name):
  layers = _json(shared, f'layers/{file}.json')['layers']
  expected = [(layer['macs'], layer['params']) for layer in layers]
  assert [(row.macs, row.params) for row in _table(name)[1]] == expected


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


@pytest.mark.parametrize('name', REFERENCE)
def test_convolutions_are_those_of_the_reference(shared, name):
  network = _json(shared, 'blocks.json')[name]
  expected = [_end(layer) for layer in network['stem']]
  for block in network['blocks']:
    expected += _convolutions(block)
  expected += [_end(layer) for layer in network['head']]
  assert [_built(row) for row in _table(name)[1]] == expected


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
def test_blocks_are_those_of_the_reference(shared, name):
  blocks = _json(shared, 'blocks.json')[name]['blocks']
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


# --- Widths ------------------------------------------------------------------


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
  macs, counted = _totals(network)
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


@pytest.mark.parametrize('name', SCALED)
def test_widths_have_the_counts_of_other_implementations(name):
  make = names.NETWORKS[name]
  for width, counts in SCALED[name].items():
    assert _totals(make(width=width)) == counts, width
  for width, counts in BY_TORCHVISION.get(name, {}).items():
    assert _totals(make(width=width, rule='torchvision')) == counts, width


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
  counted = _totals(network)
  assert network.name == f'{name}@{width:g}'
  assert abs(counted[0] / 1e6 - macs) <= 0.5
  assert abs(counted[1] / 1e6 - params) <= 0.05


@pytest.mark.parametrize(
  ('width', 'macs', 'params'),
  [
    (1.4, 582, 6.06),
    (1.0, 300, 3.47),
    (0.75, 209, 2.61),
    (0.5, 97, 1.95),
    (0.35, 59, 1.66),
  ],
)
def test_mobilenet_v2_widths_have_their_published_counts(width, macs, params):
  """Both in millions, from its README, which leaves batch norm out."""
  network = zoo.mobilenet_v2(width=width)
  net = Supernet(network, ops.Numerics(lowering='native'))
  images = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
  variables = count.module_shapes(net, images, {}, train=False)
  scales = [
    leaf.size
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables['params'])
    if 'scale' in jax.tree_util.keystr(path)
  ]
  assert abs(cost.macs(network).constant / 1e6 - macs) < 1
  counted = cost.params(network).constant - 2 * sum(scales)
  assert abs(counted / 1e6 - params) <= 0.005


@pytest.mark.parametrize(
  ('name', 'macs', 'pooled', 'weights'),
  [
    ('fbnet_a', 244526360, 1504, 4270290),
    ('fbnet_b', 291101640, 1984, 4766670),
    ('fbnet_c', 378233440, 1984, 5525420),
  ],
)
def test_fbnets_have_the_counts_of_their_repository(
  name, macs, pooled, weights
):
  """It counts the pooling as one per element, and weights alone as params."""
  assert TOTALS[name][0] + 49 * pooled == macs
  kernels = sum(
    row.params - row.output[-1]
    for row in _table(name)[1]  # Each has a bias.
  )
  assert abs(kernels - weights) <= 5


def test_proxylessnas_has_the_counts_of_its_logs():
  logs = {'mobile': (320.4, 4.08), 'cpu': (439.2, 4.36), 'gpu': (465.3, 7.12)}
  for target, (macs, params) in logs.items():
    counted = TOTALS[f'proxylessnas_{target}']
    assert abs(counted[0] / 1e6 - macs) <= 0.05
    assert abs(counted[1] / 1e6 - params) <= 0.005


def test_mnasnet_a1_scales_all_but_the_head():
  slots = {s.name: s.features for s in zoo.mnasnet_a1(width=0.5).slots}
  assert slots['stem'] == 16
  assert slots['stage7_1'] == 160
  assert slots['head'] == 1280


def test_mobilenet_v3_scales_by_two_rules():
  authors = zoo.mobilenet_v3_large(width=0.75)
  other = zoo.mobilenet_v3_large(width=0.75, rule='torchvision')
  # 80 and 184 in the table: 64 * 2.3 = 147.2, and 0.75 * 184 = 138.
  by_name = lambda s: {slot.name: slot for slot in s.slots}  # noqa: E731
  assert by_name(authors)['stage4_3'].ops[0].mid == 144
  assert by_name(other)['stage4_3'].ops[0].mid == 136
  assert authors.name != other.name
  same = zoo.mobilenet_v3_large(rule='torchvision')
  assert same == zoo.mobilenet_v3_large()


# --- Images and classes ------------------------------------------------------


def _last_map(network):
  shape = 1, network.image_size, network.image_size, network.channels
  for slot in network.slots[:-1]:
    shape = cost.op_shape(slot.ops[0], slot.features, slot.stride, shape)
  return shape[1]


@pytest.mark.parametrize('name', TOTALS)
def test_any_image_size_and_number_of_classes(name):
  network = names.NETWORKS[name](image_size=97, channels=1, num_classes=7)
  if name == 'squeezenet_1_1':
    assert _last_map(network) == 6  # 97, 48, 24, 12, 6
  else:
    assert _last_map(network) == 4  # 97, 49, 25, 13, 7, 4
  classes = names.NETWORKS[name](num_classes=10)
  per_class = (TOTALS[name][1] - cost.params(classes).constant) / 990
  width = classes.slots[-2].features
  hidden = getattr(classes.slots[-1].ops[0], 'hidden', None)
  assert per_class == (hidden or width) + 1


@pytest.mark.parametrize(
  ('size', 'after'), [(224, 13), (223, 13), (64, 3), (18, 1), (17, 1)]
)
def test_squeezenet_pools_up_and_does_not_pad_its_stem(size, after):
  assert _last_map(zoo.squeezenet_1_1(image_size=size)) == after


@pytest.mark.parametrize('name', TOTALS)
def test_small_images_change_the_earliest_strides_alone(name):
  published = names.NETWORKS[name](image_size=32, num_classes=10)
  assert _last_map(published) == 1
  adapted = zoo.small_images(published)
  if name != 'squeezenet_1_1':  # It does not pad: strides say too much.
    assert _last_map(adapted) >= 2
  assert zoo.small_images(adapted) == adapted
  pairs = list(zip(published.slots, adapted.slots, strict=True))
  differ = [i for i, (a, b) in enumerate(pairs) if a != b]
  strided = [i for i, (a, _) in enumerate(pairs) if a.stride == 2]
  assert differ == strided[: len(differ)]
  for a, b in pairs:
    assert dataclasses.replace(a, stride=b.stride) == b


@pytest.mark.parametrize('name', TOTALS)
def test_json_gives_back_the_network(name, tmp_path):
  network = Architecture(names.NETWORKS[name](image_size=64), ())
  network.save(tmp_path / 'a.json')
  assert Architecture.load(tmp_path / 'a.json') == network


# --- Training and deriving ---------------------------------------------------


def _shapes(tree):
  return jax.tree.map(lambda x: (x.shape, x.dtype), tree)


# Of every kind of block one; the others are built of the same.
KINDS = (
  'mobilenet_v1',
  'mobilenet_v2',
  'mobilenet_v3_small',
  'mnasnet_a1',
  'fbnet_a',
  'proxylessnas_cpu',
  'efficientnet_lite0',
  'hardcorenas_a',
  'shufflenet_v2',
  'squeezenet_1_1',
  'resnet18',
  'resnet50',
)


@pytest.mark.parametrize('name', KINDS)
def test_a_network_trains_and_derives_like_any_other(name):
  """A step of its training, gradients and statistics, is traced, not run."""
  network = names.NETWORKS[name](image_size=64, num_classes=10)
  arrays = data.Arrays(
    jax.ShapeDtypeStruct((8, 64, 64, 3), jnp.uint8),
    jax.ShapeDtypeStruct((8,), jnp.int32),
  )
  parts = train.make(
    network,
    data.Batches(4, (0.5,) * 3, (0.3,) * 3),
    tx=optax.sgd(0.1, momentum=0.9),
    numerics=ops.Numerics(lowering='native'),
  )
  key = jax.eval_shape(jax.random.key, 0)
  before = jax.eval_shape(lambda k: parts.init(k, arrays), key)
  after, metrics = jax.eval_shape(parts.step, before, arrays)
  assert _shapes(after) == _shapes(before)
  assert metrics['train_loss'].shape == ()
  assert count.params(after.params) == cost.params(network).constant
  # Batch norm keeps statistics where a network has any.
  assert bool(jax.tree.leaves(after.batch_stats)) == (name not in NO_NORM)
  # With nothing to choose it is what is derived, if it keeps the limit.
  macs = cost.macs(network)
  found = derive.within(network, {}, {macs: macs.constant})
  assert fix(network, found) == network
  with pytest.raises(InputError, match='macs'):
    derive.within(network, {}, {macs: macs.constant - 1})


# --- Refusals ----------------------------------------------------------------


@pytest.mark.parametrize('name', TOTALS)
def test_what_cannot_be_is_refused(name):
  make = names.NETWORKS[name]
  bad = [{'image_size': 0}, {'channels': 0}, {'num_classes': 0}]
  if 'width' in inspect.signature(make).parameters:
    bad += [{'width': 0.0}, {'width': -1.0}, {'width': float('nan')}]
  for arguments in bad:
    with pytest.raises(InputError, match=name):
      make(**arguments)


def test_squeezenet_needs_17_pixels():
  with pytest.raises(InputError, match='at least 17, got 16'):
    zoo.squeezenet_1_1(image_size=16)


def test_widths_that_a_network_lacks_are_refused():
  with pytest.raises(InputError, match=r'0\.5, 1, 1\.5, 2, got 0\.75'):
    names.network('shufflenet_v2', 0.75)()
  with pytest.raises(InputError, match='resnet18 comes in one width'):
    names.network('resnet18', 0.5)
  assert names.network('resnet18', 1.0)() == zoo.resnet18()
  with pytest.raises(ValueError, match='authors, torchvision'):
    zoo.mobilenet_v3_small(rule='mine')


def test_the_script_shows_layers_that_add_up():
  network = zoo.squeezenet_1_1(image_size=64, channels=1, num_classes=10)
  table = count_script.layers(network)
  assert (table.macs, table.params) == _totals(network)
  assert sum(row.macs for row in table.rows) == table.macs


def test_scaled_widths_are_those_times_the_factor_and_all_else_stays():
  published = zoo.shufflenet_v2()
  assert zoo.scale_widths(published, 1.0, 4).slots == published.slots
  half = zoo.scale_widths(published, 0.5, 4)
  *body, classifier = half.slots
  assert classifier == published.slots[-1]
  for new, old in zip(body, published.slots, strict=False):
    assert new.features == zoo.round_to_multiple(old.features / 2, 4)
    assert dataclasses.replace(new, features=old.features) == old
  with pytest.raises(ValueError, match='squeeze in fire_s16 of squeezenet_1_1'):
    zoo.scale_widths(zoo.squeezenet_1_1(), 0.5)
