"""Ops: closed forms, names, JSON, and that they compute and learn."""

import dataclasses
import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import pytest

from nasjax import cost, ops
from nasjax.errors import InputError
from nasjax.space import Architecture, Slot, Space
from tests.ops.ops_cases import PLACES, apply, features_in, init, jit, place


@pytest.mark.quick_every(5)
@place
def test_ops_compute_and_learn(op, features, stride):
  """Finite values of the right shape, gradients, and statistics that move."""
  module, x = op.module(features, stride, ops.Numerics()), features_in()
  variables = init(module, x)
  params = variables.get('params', {})

  @jit
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
  x = features_in()
  native = op.module(features, stride, ops.Numerics(lowering='native'))
  variables = init(native, x)
  fast = op.module(features, stride, ops.Numerics(lowering='taps'))
  chex.assert_trees_all_close(
    apply(native, variables, x),
    apply(fast, variables, x),
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
    module, x = op.module(8, 1, ops.Numerics()), features_in()
    variables = init(module, x)
    variables['params'][last]['scale'] *= 0
    chex.assert_trees_all_close(apply(module, variables, x), after(x))
    if isinstance(op, ops.MBConv):
      alone = dataclasses.replace(op, residual=False)
      module = alone.module(8, 1, ops.Numerics())
      assert not jnp.any(apply(module, variables, x))


def test_squeeze_excite_is_a_gate_per_channel():
  module = ops.SqueezeExcite(2, 'relu', 'hard_sigmoid')
  x = features_in()
  variables = module.init(jax.random.key(0), x)
  variables['params']['excite']['kernel'] *= 0
  for bias, gate in ((0.0, 0.5), (3.0, 1.0), (-3.0, 0.0)):
    variables['params']['excite']['bias'] = jnp.full(8, bias)
    chex.assert_trees_all_close(module.apply(variables, x), gate * x)


def test_shuffling_twice_is_the_identity():
  x = features_in(features=12)
  for groups in (2, 3, 4):
    y = ops.shuffle_channels(x, groups)
    chex.assert_trees_all_equal(ops.shuffle_channels(y, 12 // groups), x)


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
  x = features_in()
  variables = init(module, x)
  y = jax.eval_shape(
    lambda v, x: module.apply(v, x, False), variables, x.astype(jnp.bfloat16)
  )
  logits = 'classifier' in op.name
  assert y.dtype == (jnp.float32 if logits else jnp.bfloat16)
  assert {leaf.dtype for leaf in jax.tree.leaves(variables)} <= {x.dtype}


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
  ops.Zero(),
  ops.SkipConnect(),
  ops.ReluConv(3),
  ops.AvgPool(3),
  ops.Preactivated(),
  ops.Norm(),
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
