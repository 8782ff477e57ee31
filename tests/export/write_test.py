"""Exported networks compute what the network does, with few operators."""

import functools
import itertools
import json
import os
import sys

import jax
import numpy as np
import pytest

from experiments.flags import names
from nasjax import export, ops, space, spaces, zoo
from nasjax.export import (
  build,
  litert_file,
  onnx_file,
  onnx_nodes,
  verified,
)
from tests.conftest import images, refused
from tests.export.export_cases import (
  FORMATS,
  labels,
  needs_mobile,
  needs_onnx,
  normalisation_of,
  variables_of,
)

# Published networks that are exported; `make check-full` takes all.
EXPORTS = int(os.environ.get('EXPORTS', '4'))
# Small and odd sizes: residuals, SE, hard-swish, shuffled and split channels.
FIRST = {
  'mobilenet_v2': {'width': 0.25, 'image_size': 33},
  'mobilenet_v3_small': {'width': 0.5, 'image_size': 39},
  'shufflenet_v2': {'width': 0.5, 'image_size': 32},
  'squeezenet_1_1': {'image_size': 47},
}
ZOO = {**FIRST, **{name: {'image_size': 64} for name in names.NETWORKS}}
ZOO |= FIRST


def exported(kind, network, path, **given):
  """Exports with random weights; what `export.json` holds."""
  given.setdefault('classes', labels(network.num_classes))
  write = getattr(export, kind)
  done = write(
    network,
    path / f'model.{kind}',
    variables_of(network),
    normalisation=normalisation_of(network),
    **given,
  )
  assert isinstance(done, verified.Exported)
  record = json.loads((path / 'export.json').read_text())
  assert record == json.loads(json.dumps(done.record))
  assert record['parity']['relative_difference'] < 1e-4
  assert record['parity']['same_top'] == 1
  assert record['parity']['tolerance'] == 1e-4
  return record


def residuals(network):
  """How often an MBConv adds its input."""
  slots, found = network.slots, 0
  for before, slot in itertools.pairwise(slots):
    op = slot.ops[0]
    if isinstance(op, ops.MBConv) and op.residual and slot.stride == 1:
      found += before.features == slot.features
  return found


@pytest.mark.slow
@pytest.mark.parametrize('name', [*ZOO][:EXPORTS])
@pytest.mark.parametrize('kind', FORMATS)
def test_a_published_network_is_exported(kind, name, tmp_path):
  network = getattr(zoo, name)(num_classes=7, **ZOO[name])
  record = exported(kind, network, tmp_path)
  counts = record['operators']
  batch_norms = {'SUB', 'RSQRT', 'Sub', 'Sqrt', 'Reciprocal', 'Div'}
  assert not batch_norms & set(counts)
  if kind == 'tflite':
    assert record['fully_accelerated']
    found = [slot.ops[0] for slot in network.slots]
    large = [isinstance(op, ops.MBConv) and op.kernel > 5 for op in found]
    assert len(record['warnings']) == any(large)
  if any(isinstance(s.ops[0], ops.MBConv) for s in network.slots):
    # Two more are the normalisation of the images.
    add, mul = ('ADD', 'MUL') if kind == 'tflite' else ('Add', 'Mul')
    assert counts[add] == residuals(network) + 1
    assert counts[mul] == _muls(network, kind) + 1


def _muls(network, kind):
  """Products besides batch norms: the gates of squeeze-excite and swish."""
  found = 0
  for slot in network.slots:
    op = slot.ops[0]
    if getattr(op, 'se', 0):
      hard = op.se_gate == 'hard_sigmoid' and kind == 'tflite'
      found += 2 if hard else 1
      found += op.se_activation == 'swish'
    if getattr(op, 'activation', '') == 'swish' and slot.name != 'classifier':
      depthwise = isinstance(op, ops.MBConv)
      found += 2 if depthwise and op.expanded(2) != 2 else 1
  return found


SMALL = [
  spaces.tiny,
  spaces.tiny_width,
  spaces.tiny_macro,
  functools.partial(spaces.mobile_small, image_size=15, channels=1),
  functools.partial(spaces.mobile_width_small, image_size=16, channels=3),
  functools.partial(spaces.mobile_macro_small, image_size=17, channels=3),
]


@pytest.mark.quick_every(6)
@pytest.mark.parametrize('make', SMALL, ids=lambda make: make().name)
@pytest.mark.parametrize('kind', FORMATS)
def test_an_architecture_is_exported(kind, make, draw, tmp_path):
  s = make()
  architecture = draw(s)
  network = s.fix(architecture)
  record = exported(kind, architecture.space.fix(architecture), tmp_path)
  add = 'ADD' if kind == 'tflite' else 'Add'
  assert record['operators'].get(add, 0) <= residuals(network) + 1
  assert record['network'] == network.name


@pytest.mark.quick_every(2)
@pytest.mark.parametrize('kind', FORMATS)
def test_every_op_of_the_library_is_exported(kind, tmp_path):
  """Groups, other activations, kernels without norm, ceil pooling."""
  wide = [
    ops.MBConv(5, 3, activation='swish', se=4, se_gate='sigmoid'),
    ops.MBConv(3, 2, groups=2, activation='relu', bias=True),
    ops.MBConv(3, 3, activation='identity', residual=False),
    ops.Separable(3, 'hard_swish'),
    ops.MaxPool(3, 'ceil'),
    ops.MaxPool(2),
    ops.Bottleneck(),
    ops.Shuffle(),
    ops.Fire(4),
    ops.Conv(3, 'relu', bias=True, norm=False),
    ops.Skip(),
  ]
  slots = [space.Slot('stem', (ops.Conv(3),), 8, 2)]
  slots += [
    space.Slot(f'slot{i}', (op,), 8, 2 if 'maxpool' in op.name else 1)
    for i, op in enumerate(wide)
  ]
  end = ops.Classifier(0.1, hidden=12)
  slots.append(space.Slot('classifier', (end,), 5))
  network = space.Space('ops', 37, 3, tuple(slots))
  exported(kind, network, tmp_path)


@pytest.mark.parametrize('kind', [*FORMATS, 'stablehlo'])
@pytest.mark.parametrize('dtype', ['uint8', 'float32'])
def test_the_file_says_its_classes_and_preprocessing(kind, dtype, tmp_path):
  s = spaces.tiny(image_size=8, channels=3)
  network = s.fix(space.argmax(s, space.init_alphas(s)))
  classes = 'café', 'two\nlines', *labels(8)
  record = exported(kind, network, tmp_path, input=dtype, classes=classes)
  data = (tmp_path / f'model.{kind}').read_bytes()
  mean, std = normalisation_of(network)
  document = {
    'network': network.name,
    'classes': list(classes),
    'input': {
      'dtype': dtype,
      'shape': [1, 8, 8, 3],
      'range': [0, 255],
      'channels': 'RGB',
      'crop': 1.0,
      'resize': 'bicubic',
    },
    'normalisation': {'mean': list(mean), 'std': list(std)},
    'output': 'logits',
  }
  assert {name: record[name] for name in document} == document
  if kind != 'stablehlo':
    module = litert_file if kind == 'tflite' else onnx_file
    assert module.metadata(data) == document
  lines = (tmp_path / 'labels.txt').read_text().splitlines()
  assert lines == ['café', 'two\\nlines', *labels(8)]


def test_fresh_networks_and_their_statistics_are_exported(tmp_path):
  """Statistics of 0 and 1, as no training leaves them."""
  network = zoo.mobilenet_v2(image_size=17, num_classes=3, width=0.25)
  done = export.stablehlo(network, tmp_path / 'model.stablehlo')
  assert done.record['parity']['relative_difference'] < 1e-4
  assert done.record['classes'] == ['0', '1', '2']
  assert done.warnings == []


TINY = spaces.tiny(image_size=8, channels=1)
NETWORK = TINY.fix(space.argmax(TINY, space.init_alphas(TINY)))
BAD = [
  ({'source': TINY}, 'leaves a choice in'),
  ({'source': 'tiny'}, 'source is of the type str'),
  ({'variables': {'weights': {}}}, 'variables has weights; it must have par'),
  ({'variables': {'params': {}}}, r'of shape none; tiny has \('),
  ({'classes': ['a']}, 'classes has 1 names; tiny has 10 classes'),
  ({'normalisation': ((0.5,), (0.0,))}, 'normalisation is'),
  ({'normalisation': ((0.5, 0.5), (1.0, 1.0))}, 'it must be 1 means'),
  ({'input': 'int8'}, "unknown input 'int8'; choose from uint8, float32"),
  ({'images': images(20, 9, 1)}, r'the network takes uint8\[n, 8, 8, 1\]'),
  ({'images': images(20, 8, 3)}, r'images are uint8\[20, 8, 8, 3\]'),
  ({'images': images(20, 8, 1) / 255}, 'images are float64'),
  ({'images': images(0, 8, 1)}, 'n at least 1'),
  ({'test': (images(9, 9, 1), np.zeros(9))}, 'images are uint8'),
  ({'path': 'run.py'}, 'it must be that of a file'),
]


@pytest.mark.parametrize(('given', 'message'), BAD, ids=[m for _, m in BAD])
def test_bad_input_is_one_line_and_writes_nothing(given, message, tmp_path):
  default = {'source': NETWORK, 'path': 'model.stablehlo'}
  given = default | {'variables': variables_of(NETWORK)} | given
  source, path = given.pop('source'), tmp_path / 'new' / given.pop('path')
  refused(message, export.stablehlo, source, path, **given)
  assert not [*tmp_path.rglob('*')]


def test_weights_that_diverged_are_refused(tmp_path):
  weights = jax.tree.map(np.array, variables_of(NETWORK))
  weights.params['classifier']['classifier']['dense']['bias'][0] = np.nan
  path = tmp_path / 'model.stablehlo'
  refused(
    '16 of 16 images are not finite', export.stablehlo, NETWORK, path, weights
  )
  assert not [*tmp_path.iterdir()]


@needs_mobile
def test_int8_asks_for_enough_images(tmp_path):
  path = tmp_path / 'model.tflite'
  int8 = functools.partial(export.tflite, NETWORK, path, int8=True)
  refused('int8 is calibrated on real images; give images=', int8)
  refused('on 9 images; give at least 10', int8, images=images(9, 8, 1))
  assert not [*tmp_path.iterdir()]


def test_a_missing_extra_is_named(monkeypatch, tmp_path):
  for kind, module, extra in (
    ('tflite', 'ai_edge_litert', 'mobile'),
    ('onnx', 'onnxruntime', 'onnx'),
  ):
    for name in ('onnx', 'ai_edge_litert', 'litert_converter'):
      monkeypatch.setitem(sys.modules, name, json)
    monkeypatch.setitem(sys.modules, module, None)
    write = getattr(export, kind)
    refused(rf"pip install 'nasjax\[{extra}\]'", write, NETWORK, tmp_path / 'm')
  assert not [*tmp_path.iterdir()]


@needs_onnx
def test_an_operation_without_onnx_form_is_named(monkeypatch, tmp_path):
  monkeypatch.delitem(onnx_nodes.WRITERS, 'conv_general_dilated')
  message = "'conv_general_dilated' has no ONNX form here"
  refused(message, export.onnx, NETWORK, tmp_path / 'model.onnx')
  assert not [*tmp_path.iterdir()]


def test_a_file_that_computes_something_else_is_not_written(
  monkeypatch, tmp_path
):
  right = build.stablehlo

  def wrong(*args):
    found = right(*args)
    run = lambda images: 1.001 * found.run(images)  # noqa: E731
    return build.Built(found.data, run, {})

  monkeypatch.setattr(build, 'stablehlo', wrong)
  with pytest.raises(RuntimeError, match='computes other outputs'):
    export.stablehlo(NETWORK, tmp_path / 'm', variables_of(NETWORK))
  assert not [*tmp_path.iterdir()]
