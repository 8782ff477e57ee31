"""Ops: closed forms, names, JSON, and that they compute and learn."""

import dataclasses
import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import cost, ops
from nasjax.errors import InputError
from nasjax.space import Architecture, Slot, Space

# An op, with the features and stride of a place it fits, on 8 features.
PLACES = [
  (ops.Conv(3, 'relu', bias=True), 12, 2),
  (ops.Conv(3, 'relu', bias=True, norm=False, padding='valid'), 12, 2),
  (ops.Conv(1, 'hard_swish'), 12, 1),
  (ops.Separable(3), 12, 2),
  (ops.MBConv(5, 3), 8, 1),
  (ops.MBConv(3, 2, 'relu', groups=2, bias=True), 12, 2),
  (ops.MBConv(3, mid=20, activation='hard_swish', se=4), 12, 1),
  (
    ops.MBConv(
      3,
      6,
      'swish',
      se=4,
      se_from='input',
      se_divisor=1,
      se_activation='swish',
      se_gate='sigmoid',
    ),
    8,
    1,
  ),
  (ops.MaxPool(3), 8, 2),
  (ops.MaxPool(3, 'ceil'), 8, 2),
  (ops.Basic(), 8, 1),
  (ops.Basic(), 12, 2),
  (ops.Bottleneck(), 12, 2),
  (ops.Shuffle(), 8, 1),
  (ops.Shuffle(), 12, 2),
  (ops.Fire(4), 12, 1),
  (ops.Classifier(0.1, hidden=16), 5, 1),
  (ops.ConvClassifier(0.1), 5, 1),
]
place = pytest.mark.parametrize(
  ('op', 'features', 'stride'), PLACES, ids=[p[0].name for p in PLACES]
)


def _input(size=7, features=8):
  rng = np.random.default_rng(0)
  return jnp.asarray(rng.normal(size=(2, size, size, features)), jnp.float32)


# Compiling takes most of the time here, and nothing needs to be fast.
_jit = functools.partial(
  jax.jit, compiler_options={'xla_backend_optimization_level': 0}
)


def _init(module, x):
  """Variables as a new module has them, kernels drawn without compiling."""
  rng = np.random.default_rng(1)
  shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), x, False))

  def value(path, shape):
    last = path[-1].key
    if last == 'kernel':
      return jnp.asarray(rng.normal(size=shape.shape) / 3, jnp.float32)
    return jnp.full(shape.shape, float(last in ('scale', 'var')))

  return jax.tree_util.tree_map_with_path(value, shapes)


def _apply(module, variables, x):
  return _jit(module.apply, static_argnums=2)(variables, x, False)


# --- What ops compute --------------------------------------------------------


@place
def test_ops_compute_and_learn(op, features, stride):
  """Finite values of the right shape, gradients, and statistics that move."""
  module, x = op.module(features, stride, ops.Numerics()), _input()
  variables = _init(module, x)
  params = variables.get('params', {})

  @_jit
  @functools.partial(jax.value_and_grad, argnums=(0, 1), has_aux=True)
  def run(params, x):
    y, updated = module.apply(
      {**variables, 'params': params},
      x,
      True,
      mutable=['batch_stats'],
      rngs={'dropout': jax.random.key(1)},
    )
    return jnp.sum(jnp.sin(y)), (y, updated)

  (_, (y, updated)), gradients = run(params, x)
  if 'classifier' in op.name:
    assert y.shape == (2, features)
  else:
    size = 3 if op.name.endswith(('valid', 'ceil')) else -(-7 // stride)
    assert y.shape == (2, size, size, features)
  chex.assert_tree_all_finite((y, gradients))
  # Before a batch norm a convolution's own bias has no gradient.
  for path, g in jax.tree_util.tree_leaves_with_path(gradients[0]):
    if 'bias' not in jax.tree_util.keystr(path):
      assert jnp.any(g != 0), path
  before = jax.tree.leaves(variables.get('batch_stats', {}))
  after = jax.tree.leaves(updated.get('batch_stats', {}))
  assert len(before) == len(after)
  assert all(jnp.any(a != b) for a, b in zip(before, after, strict=True))


# The others have no layer of two forms in them that these have not.
@pytest.mark.parametrize(
  ('op', 'features', 'stride'),
  [p for p in PLACES if isinstance(p[0], (ops.MBConv, ops.Shuffle))],
)
def test_the_native_form_computes_the_same(op, features, stride):
  x = _input()
  native = op.module(features, stride, ops.Numerics(lowering='native'))
  variables = _init(native, x)
  fast = op.module(features, stride, ops.Numerics(lowering='taps'))
  chex.assert_trees_all_close(
    _apply(native, variables, x),
    _apply(fast, variables, x),
    rtol=1e-4,
    atol=1e-5,
  )


def test_a_block_of_batch_norms_that_pass_nothing_is_the_shortcut():
  """Residuals: with the last scale at 0 what remains is the input."""
  for op, last, after in (
    (ops.MBConv(3, 2), 'project_bn', lambda x: x),
    (ops.Basic(), 'bn2', jax.nn.relu),
    (ops.Bottleneck(), 'bn3', jax.nn.relu),
  ):
    module, x = op.module(8, 1, ops.Numerics()), _input()
    variables = _init(module, x)
    variables['params'][last]['scale'] *= 0
    chex.assert_trees_all_close(_apply(module, variables, x), after(x))
    if isinstance(op, ops.MBConv):
      alone = dataclasses.replace(op, residual=False)
      module = alone.module(8, 1, ops.Numerics())
      assert not jnp.any(_apply(module, variables, x))


def test_squeeze_excite_is_a_gate_per_channel():
  module = ops.SqueezeExcite(2, 'relu', 'hard_sigmoid')
  x = _input()
  variables = module.init(jax.random.key(0), x)
  variables['params']['excite']['kernel'] *= 0
  for bias, gate in ((0.0, 0.5), (3.0, 1.0), (-3.0, 0.0)):
    variables['params']['excite']['bias'] = jnp.full(8, bias)
    chex.assert_trees_all_close(module.apply(variables, x), gate * x)


def test_shuffle_passes_half_of_the_channels_on():
  x = _input()
  y = ops.Shuffle().module(8, 1, ops.Numerics())
  out = _apply(y, _init(y, x), x)
  chex.assert_trees_all_equal(out[..., ::2], x[..., :4])


def test_shuffling_twice_is_the_identity():
  x = _input(features=12)
  for groups in (2, 3, 4):
    y = ops.shuffle_channels(x, groups)
    chex.assert_trees_all_equal(ops.shuffle_channels(y, 12 // groups), x)


@pytest.mark.parametrize('padding', ['same', 'ceil'])
@pytest.mark.parametrize('stride', [1, 2])
def test_pooling_has_a_second_derivative(x64, padding, stride):
  """That of differences of the first one: searches look ahead through it."""
  pool = ops.MaxPool(3, padding=padding).module(2, stride, ops.Numerics())
  rng = np.random.default_rng(0)
  x, way = (jnp.array(rng.normal(size=(1, 8, 8, 2))) for _ in range(2))
  slope = jax.grad(lambda x: (pool.apply({}, x, False) ** 3).sum())
  _, along = jax.jvp(slope, (x,), (way,))
  h = 1e-6
  difference = (slope(x + h * way) - slope(x - h * way)) / (2 * h)
  assert (along != 0).any()
  np.testing.assert_allclose(along, difference, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize('kernel', [2, 3])
def test_pooling_up_sees_every_pixel_once_it_begins(kernel):
  for size in range(2, 14):
    x = jnp.arange(size * size, dtype=jnp.float32).reshape(1, size, size, 1)
    module = ops.MaxPool(kernel, 'ceil').module(1, 2, ops.Numerics())
    y = module.apply({}, x, False)
    starts = range(0, max(1, size - kernel + 2), 2)
    assert y.shape == (1, len(starts), len(starts), 1)
    expected = [
      [x[0, i : i + kernel, j : j + kernel].max() for j in starts]
      for i in starts
    ]
    chex.assert_trees_all_equal(y[0, ..., 0], jnp.array(expected))


def test_ops_that_do_not_pad_refuse_what_is_too_small():
  pool = ops.MaxPool(3, 'ceil'), 8, 2, (1, 1, 1, 8)
  with pytest.raises(InputError, match='at least 2 pixels, got 1'):
    cost.op_shape(*pool)
  convolution = ops.Conv(3, padding='valid'), 8, 2, (1, 2, 2, 8)
  with pytest.raises(InputError, match='at least 3 pixels, got 2'):
    cost.op_shape(*convolution)


@place
def test_ops_keep_the_dtype_they_compute_in(op, features, stride):
  module = op.module(features, stride, ops.Numerics(dtype=jnp.bfloat16))
  x = _input()
  variables = _init(module, x)
  y = jax.eval_shape(
    lambda v, x: module.apply(v, x, False), variables, x.astype(jnp.bfloat16)
  )
  logits = 'classifier' in op.name
  assert y.dtype == (jnp.float32 if logits else jnp.bfloat16)
  assert {leaf.dtype for leaf in jax.tree.leaves(variables)} <= {x.dtype}


# --- Counts in closed form ---------------------------------------------------


def _counted(op, features, stride, inputs=24, size=8):
  """MACs and params as traced, which the op's closed form must equal."""
  place = op, features, stride, (1, size, size, inputs)
  traced = cost.traced('macs', *place), cost.traced('params', *place)
  assert (cost.op_macs(*place), cost.op_params(*place)) == traced
  return traced


def test_a_plain_block():
  macs, params = _counted(ops.MBConv(3, 6), 40, 2)
  mid = 6 * 24
  assert macs == 64 * 24 * mid + 16 * 9 * mid + 16 * mid * 40
  assert params == 24 * mid + 9 * mid + mid * 40 + 4 * mid + 2 * 40


@pytest.mark.parametrize(
  ('fields', 'mid', 'squeezed'),
  [
    ({'expand': 3, 'se': 4}, 72, 24),  # 18, and 16 would be 11 % below.
    ({'mid': 184, 'se': 4}, 184, 48),
    ({'expand': 3, 'se': 4, 'se_divisor': 1}, 72, 18),
    ({'expand': 3, 'se': 4, 'se_from': 'input', 'se_divisor': 1}, 72, 6),
    ({'expand': 1, 'se': 32, 'se_from': 'input', 'se_divisor': 1}, 24, 1),
  ],
)
def test_squeeze_excite_adds_two_layers_with_bias(fields, mid, squeezed):
  op = ops.MBConv(5, **fields)
  assert (op.expanded(24), op.squeezed(24)) == (mid, squeezed)
  with_se = _counted(op, 40, 1)
  without = _counted(dataclasses.replace(op, se=0), 40, 1)
  assert with_se[0] - without[0] == 2 * mid * squeezed
  assert with_se[1] - without[1] == 2 * mid * squeezed + squeezed + mid


def test_groups_and_bias():
  grouped = _counted(ops.MBConv(3, 2, groups=4, bias=True), 40, 1)
  plain = _counted(ops.MBConv(3, 2), 40, 1)
  saved = (24 * 48 + 48 * 40) * 3 // 4
  assert plain[0] - grouped[0] == 64 * saved
  assert grouped[1] - plain[1] == 48 + 48 + 40 - saved


def test_no_expansion_where_the_width_stays():
  as_factor, as_width = ops.MBConv(3, 1), ops.MBConv(3, mid=24)
  assert _counted(as_factor, 40, 1) == _counted(as_width, 40, 1)
  assert _counted(as_factor, 40, 1)[0] == 64 * (9 * 24 + 24 * 40)


def test_hand_made_blocks():
  relu = 2 * 40  # Scale and bias of a batch norm.
  assert _counted(ops.Separable(3), 40, 1) == (
    64 * (9 * 24 + 24 * 40),
    9 * 24 + 24 * 40 + 2 * 24 + relu,
  )
  basic = 9 * 24 * 40 + 9 * 40 * 40 + 24 * 40
  assert _counted(ops.Basic(), 40, 2) == (16 * basic, basic + 3 * relu)
  bottleneck = 24 * 10 + 9 * 10 * 10 + 10 * 40 + 24 * 40
  assert _counted(ops.Bottleneck(), 40, 1) == (
    64 * bottleneck,
    bottleneck + 2 * 10 + 2 * 10 + 2 * relu,
  )
  shuffle = 12 * 12 + 9 * 12 + 12 * 12
  assert _counted(ops.Shuffle(), 24, 1) == (64 * shuffle, shuffle + 6 * 12)
  fire = 24 * 4 + 4 * 20 + 9 * 4 * 20
  assert _counted(ops.Fire(4), 40, 1) == (64 * fire, fire + 4 + 40)
  assert _counted(ops.MaxPool(3), 24, 2) == (0, 0)
  assert _counted(ops.ConvClassifier(), 10, 1) == (64 * 240, 250)
  assert _counted(ops.Classifier(hidden=7), 10, 1) == (
    24 * 7 + 7 * 10,
    24 * 7 + 7 + 7 * 10 + 10,
  )


def _drawn_blocks(number):
  """Blocks of all fields, at places of all kinds that they fit."""
  rng = np.random.default_rng(0)
  draw = lambda *options: options[rng.integers(len(options))]  # noqa: E731
  while number:
    width = {draw('expand', 'mid'): draw(1, 2, 3, 8, 20)}
    op = ops.MBConv(
      draw(1, 3, 5),
      **width,
      activation=draw(*ops.ACTIVATIONS),
      groups=draw(1, 1, 2, 4),
      bias=draw(False, True),
      residual=draw(False, True, True),
      se=draw(0, 1, 3, 4, 32),
      se_from=draw('expanded', 'input'),
      se_divisor=draw(1, 8),
      se_activation=draw(*ops.ACTIVATIONS),
      se_gate=draw(*ops.GATES),
    )
    inputs, stride, size = draw(4, 8, 20), draw(1, 1, 2, 3), draw(1, 2, 7)
    features = draw(inputs, 12)
    if op.fits(inputs, features, stride):
      number -= 1
      yield op, features, stride, (1, size, size, inputs)


def test_closed_forms_are_what_is_traced():
  for block in _drawn_blocks(100):
    traced = [cost.traced(r, *block) for r in ('macs', 'params', 'memory')]
    op, features, stride, (_, size, _, inputs) = block
    place = inputs, features, stride, size
    assert [op.macs(*place), op.params(*place), op.memory(*place)] == traced
    assert cost.op_memory(*block) == traced[-1]
    assert cost.op_shape(*block) == cost.traced_shape(*block)


def test_an_inherited_closed_form_is_not_believed():
  """The module may be another one; a form of the class's own is."""

  class Narrow(ops.MBConv):
    def module(self, features, stride, numerics):
      return ops.Conv(1).module(features, stride, numerics)

  class Priced(Narrow):
    def macs(self, in_features, features, stride, size):
      return in_features, features, stride, size

  place = 12, 2, (1, 8, 8, 4)
  assert cost.op_macs(Narrow(3, 6), *place) == 4 * 4 * 4 * 12
  assert cost.op_params(Narrow(3, 6), *place) == 4 * 12 + 2 * 12
  assert cost.op_macs(Priced(3, 6), *place) == (4, 12, 2, 8)
  assert cost.op_params(Priced(3, 6), *place) == 4 * 12 + 2 * 12


# --- Names and fields --------------------------------------------------------

# Other values for fields, by name or by type of what is there.
_OTHERS = {
  'activation': ('relu', 'swish'),
  'padding': ('valid',),
  'se_from': ('input',),
  'se_activation': ('swish',),
  'se_gate': ('sigmoid',),
}


def _variants(op):
  """The op with every field changed, alone and in pairs."""
  changes = []
  for field in dataclasses.fields(op):
    value = getattr(op, field.name)
    if field.name in ('mid', 'dropout', 'drop_path') or value is None:
      continue  # `mid` excludes `expand`; what is dropped is in no name.
    if field.name == 'padding' and isinstance(op, ops.MaxPool):
      others = ('ceil',)
    elif field.name in _OTHERS:
      others = _OTHERS[field.name]
    elif isinstance(value, bool):
      others = (not value,)
    else:
      others = ((value or 0) + 2, (value or 0) + 4)
    changes.append([(field.name, other) for other in others])
  for many in (1, 2):
    for fields in itertools.combinations(changes, many):
      for change in itertools.product(*fields):
        yield dataclasses.replace(op, **dict(change))


DEFAULTS = [
  ops.Conv(3),
  ops.Separable(3),
  ops.MBConv(3, 6),
  ops.Skip(),
  ops.Classifier(),
  ops.MaxPool(3),
  ops.Basic(),
  ops.Bottleneck(),
  ops.Shuffle(),
  ops.Fire(16),
  ops.ConvClassifier(),
]


def test_different_ops_have_different_names():
  assert {type(op) for op in DEFAULTS} == set(ops.BUILTIN)
  found = {}
  for op in (*DEFAULTS, ops.MBConv(3, mid=6), ops.Classifier(hidden=6)):
    for variant in (op, *_variants(op)):
      known = found.setdefault(variant.name, variant)
      assert known == variant, variant.name
  assert len(found) > 150


def test_names_that_files_hold_stay():
  kept = {
    ops.Conv(3): 'conv_k3',
    ops.Conv(1): 'conv_k1',
    ops.MBConv(3, 6): 'mbconv_k3_e6',
    ops.MBConv(5, 1, 'relu6'): 'mbconv_k5_e1',
    ops.Skip(): 'skip',
    ops.Classifier(0.2): 'classifier',
  }
  for op, name in kept.items():
    assert op.name == name


def test_every_op_survives_json(tmp_path):
  for op, features, stride in PLACES:
    slot = Slot('a', (op,), features, stride)
    a = Architecture(Space('s', 8, 8, (slot,)), ())
    a.save(tmp_path / 'a.json')
    assert Architecture.load(tmp_path / 'a.json') == a


@pytest.mark.parametrize(
  ('make', 'match'),
  [
    (lambda: ops.MBConv(3), 'positive int expand, got None'),
    (lambda: ops.MBConv(3, 6, mid=24), 'either expand or mid, got 6 and 24'),
    (lambda: ops.MBConv(3, 6, se=-1), 'int se >= 0, got -1'),
    (lambda: ops.MBConv(3, 6, groups=0), 'positive int groups, got 0'),
    (lambda: ops.MBConv(4, 6), 'odd kernel, got 4'),
    (lambda: ops.MBConv(3, 6, se_gate='relu'), "se_gate among .*, got 'relu'"),
    (lambda: ops.Conv(3, 'gelu'), "an activation among .*, got 'gelu'"),
    (lambda: ops.Conv(3, padding='same '), 'a padding among same, valid'),
    (lambda: ops.MaxPool(3, 'valid'), 'a padding among same, ceil'),
    (lambda: ops.Classifier(hidden=0), 'positive int hidden, got 0'),
    (lambda: ops.ConvClassifier(1.0), r'dropout in \[0, 1\), got 1.0'),
    (lambda: ops.Bottleneck(reduction=0), 'positive int reduction, got 0'),
    (lambda: ops.Fire(0), 'positive int squeeze, got 0'),
  ],
)
def test_bad_fields_are_refused(make, match):
  with pytest.raises(ValueError, match=match):
    make()


def test_ops_stand_only_where_they_fit():
  assert not ops.MBConv(3, 1, groups=2).fits(24, 39, 1)
  assert not ops.MBConv(3, 1, groups=2).fits(23, 40, 1)
  assert not ops.MaxPool(3).fits(24, 40, 2)
  assert not ops.MaxPool(2, 'ceil').fits(24, 24, 3)
  assert not ops.Shuffle().fits(24, 40, 1)
  assert not ops.Shuffle().fits(24, 41, 2)
  assert ops.Shuffle().fits(24, 40, 2)
  assert not ops.Bottleneck().fits(24, 42, 1)
  assert not ops.Fire(4).fits(24, 40, 2)
