"""What counts as a parameter, of Linen, of nnx, and of any other tree."""

import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.core import freeze
from flax.training.train_state import TrainState

from nasjax import count
from tests.count.count_cases import check_totals, shape

X = shape(1, 8, 8, 3)
KERNEL = jnp.ones((3, 5))


class Stateful(nnx.Module):
  """With statistics, a key and a counter, which nobody trains."""

  def __init__(self, rngs):
    self.conv = nnx.Conv(3, 8, (3, 3), rngs=rngs)
    self.norm = nnx.BatchNorm(8, rngs=rngs, use_running_average=True)
    self.dropout = nnx.Dropout(0.5, rngs=rngs, deterministic=True)
    self.head = nnx.Linear(8, 10, rngs=rngs)

  def __call__(self, x):
    return self.head(self.dropout(self.norm(self.conv(x))).mean((1, 2)))


class Tied(nnx.Module):
  def __init__(self, rngs):
    self.encoder = nnx.Linear(4, 4, rngs=rngs)
    self.decoder = nnx.Linear(4, 4, rngs=rngs)
    self.decoder.kernel = self.encoder.kernel

  def __call__(self, x):
    return self.encoder(self.decoder(x))


def run(module, x):
  return module(x)


def test_of_an_nnx_module_only_params_count():
  module = Stateful(nnx.Rngs(0))
  abstract = nnx.eval_shape(lambda: Stateful(nnx.Rngs(0)))
  _, params, rest = nnx.split(module, nnx.Param, ...)
  for tree in (module, abstract, nnx.split(module), nnx.state(module), params):
    assert count.params(tree) == 330
  assert count.params(rest) == 0
  assert count.params(nnx.to_pure_dict(params)) == 330
  assert count.params({'params': nnx.state(module), 'step': 3}) == 330
  optimizer = nnx.Optimizer(module, optax.adam(1e-3), wrt=nnx.Param)
  assert count.params(optimizer) == 0
  for tree in (module, abstract):
    table = count.table(run, tree, X)
    check_totals(table)
    assert (table.macs, table.params) == (64 * 8 * 27 + 80, 330)
    assert [(row.name, row.params) for row in table.rows] == [
      ('conv', 224),
      ('norm', 16),
      ('head', 90),
    ]


def test_kinds_of_parameters_count_as_such():
  class Lora(nnx.Module):
    def __init__(self):
      self.base = nnx.Variable(jnp.ones((4, 4)))
      self.lora = nnx.LoRAParam(jnp.ones((4, 2)))

  assert count.params(Lora()) == 8


def test_what_is_no_variable_in_an_nnx_module_is_refused_by_name():
  class Raw(nnx.Module):
    def __init__(self):
      self.kernel = nnx.Param(jnp.ones(3))
      self.table = nnx.data(jnp.ones(5))

  for counted in (count.params, lambda m: count.table(lambda m: None, m)):
    with pytest.raises(ValueError, match=r"^'table' is neither"):
      counted(Raw())


def test_a_parameter_in_two_places_counts_once():
  tied = Tied(nnx.Rngs(0))
  abstract = nnx.eval_shape(lambda: Tied(nnx.Rngs(0)))
  for tree in (tied, abstract):
    assert count.params(tree) == 16 + 8
    table = count.table(run, tree, shape(1, 4))
    check_totals(table)
    assert (table.macs, table.params) == (32, 24)
    # It counts where it is used first.
    assert [(row.name, row.params) for row in table.rows] == [
      ('decoder', 20),
      ('encoder', 4),
    ]


@pytest.mark.parametrize('array', [KERNEL, np.ones((3, 5))])
def test_an_array_in_two_places_counts_once_and_equal_ones_do_not(array):
  once = {'a': {'kernel': array}, 'b': {'kernel': array}}
  assert count.params(once) == 15
  table = count.table(
    lambda w, x: x @ w['a']['kernel'] + x @ w['b']['kernel'], once, shape(1, 3)
  )
  check_totals(table)
  assert [(row.macs, row.params) for row in table.rows] == [(15, 15), (15, 0)]
  twice = {'a': {'kernel': array}, 'b': {'kernel': array.copy()}}
  assert count.params(twice) == 30
  # A shape stands for an array, so that one object may stand for several.
  same = shape(3, 5)
  assert count.params([same, same]) == 30
  # A number is no array: that Python keeps small ones once means nothing.
  assert count.params([1.5, 1.5]) == 2


def test_statistics_that_share_an_array_with_parameters_take_nothing():
  zeros = jnp.zeros(4)
  tree = {'batch_stats': {'mean': zeros}, 'params': {'bias': zeros}}
  assert count.params(tree) == 4


STATISTICS = {'norm': {'mean': jnp.ones(7)}}


@pytest.mark.parametrize(
  ('tree', 'expected'),
  [
    ({'constants': {'table': jnp.ones(16)}}, 0),
    ({'batch_stats': STATISTICS, 'cache': STATISTICS}, 0),
    ({'params': {}, 'my_state': STATISTICS}, 0),
    ({'params': None, 'my_state': STATISTICS}, 0),
    ({'params': {'kernel': KERNEL}, 'my_state': STATISTICS}, 15),
    (freeze({'params': {'k': KERNEL}, 'batch_stats': STATISTICS}), 15),
    ({'params': KERNEL}, 15),
    ({'model': {'params': {'k': KERNEL}, 'batch_stats': STATISTICS}}, 15),
    (
      {
        'encoder': {'params': {'k': KERNEL}, 'batch_stats': STATISTICS},
        'decoder': {'params': {'k': KERNEL + 1}},
        'norm': {'batch_stats': STATISTICS},
      },
      30,
    ),
    ([{'params': {'k': KERNEL}}, {'params': {'k': KERNEL + 1}}], 30),
    # The outermost collection: moments of an optimizer are next to it.
    ({'params': {'k': KERNEL}, 'opt': {'params': {'k': KERNEL + 1}}}, 15),
    # A submodule may have any name.
    ({'params': {'params': {'k': KERNEL}, 'head': KERNEL + 1}}, 30),
    ({'params': {'batch_stats': {'k': KERNEL}}}, 15),
    ({'attention': {'cache': {'k': KERNEL}}, 'head': KERNEL + 1}, 30),
    ({'kernel': KERNEL, 'constants': jnp.ones(2)}, 17),
    ({'kernel': KERNEL.astype(complex)}, 15),
    ({'kernel': KERNEL.astype(jnp.bfloat16)}, 15),
  ],
)
def test_the_collection_of_parameters_is_found_at_any_depth(tree, expected):
  assert count.params(tree) == expected
  table = count.table(lambda tree: None, tree)
  check_totals_without_macs(table)
  assert table.params == expected


def check_totals_without_macs(table):
  assert sum(row.params for row in table.rows) == table.params
  assert table.macs == 0


def test_a_train_state_counts_its_params():
  variables = nn.Dense(5).init(jax.random.key(0), jnp.ones((1, 3)))
  for params in (variables, variables['params']):
    state = TrainState.create(apply_fn=None, params=params, tx=optax.adam(1e-3))
    assert count.params(state) == 20


@pytest.mark.parametrize(
  ('tree', 'name'),
  [
    ({'model': {'params': {'k': KERNEL}}, 'step': 0}, 'step'),
    ({'a': {'params': {'k': KERNEL}}, 'b': {'kernel': KERNEL}}, 'b/kernel'),
    ({'batch_stats': STATISTICS, 'head': {'kernel': KERNEL}}, 'head/kernel'),
    ([nnx.Param(KERNEL), KERNEL], '1'),
  ],
)
def test_what_may_be_a_parameter_or_not_is_refused_by_name(tree, name):
  with pytest.raises(ValueError, match=f"^'{name}' is neither"):
    count.params(tree)
  with pytest.raises(ValueError, match=f"^'{name}' is neither"):
    count.table(lambda tree: None, tree)


@pytest.mark.parametrize(
  'leaf',
  [
    'relu',
    True,
    np.array(['a']),
    np.array([True]),
    np.array([None]),
    jax.random.key(0),
    jax.nn.relu,
  ],
)
def test_a_leaf_that_is_no_number_is_refused_by_name(leaf):
  for tree in ({'kernel': KERNEL, 'own': leaf}, {'params': {'own': leaf}}):
    with pytest.raises(TypeError, match='own'):
      count.params(tree)


class Counter(nn.Module):
  """Without parameters, and with a collection that only its author knows."""

  @nn.compact
  def __call__(self, x):
    return x + self.variable('my_state', 'x', jnp.ones, (4,)).value


def test_a_linen_module_without_parameters_counts_none():
  variables = count.module_shapes(Counter(), shape(4))
  assert count.params(variables) == 0
  own = Counter().init(jax.random.key(0), jnp.ones(4))
  for given in (variables, own):
    assert count.table(Counter(), given, shape(4)).params == 0


def test_arrays_in_keyword_arguments_with_other_leaves_are_traced():
  def power(w, inp):
    x = inp['x']
    for _ in range(inp['k']):  # No array: a Python int, as given.
      x = x @ w
    return x

  square = shape(4, 4)
  assert count.macs(power, square, inp={'x': square, 'k': 3}) == 3 * 64
  assert count.macs_range(power, square, inp={'x': square, 'k': 2}).high == 128
  assert count.table(power, square, inp={'x': square, 'k': 3}).macs == 3 * 64
  peak = count.peak_memory(power, square, inp={'x': square, 'k': 1})
  assert peak.bytes == 2 * 64

  class Net(nn.Module):
    @nn.compact
    def __call__(self, inputs):
      return nn.Dense(5)(inputs[0]) if inputs[1] == 'dense' else inputs[0]

  inputs = (shape(2, 3), 'dense')
  variables = count.module_shapes(Net(), inputs=inputs)
  assert count.params(variables) == 20
  assert count.macs(Net(), variables, inputs=inputs) == 30


def test_counting_does_not_import_nnx():
  program = 'import sys; from nasjax import count; count.params({"a": 1.0}); '
  program += 'print("flax.nnx" in sys.modules)'
  out = subprocess.run(
    [sys.executable, '-c', program], capture_output=True, text=True, check=True
  )
  assert out.stdout.strip() == 'False'


def test_module_shapes_equal_those_of_init():
  class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train):
      x = nn.BatchNorm(use_running_average=not train)(nn.Dense(3)(x))
      return nn.Dropout(0.5, deterministic=not train)(x)

  variables = Net().init(jax.random.key(0), jnp.zeros((2, 5)), train=True)
  shapes = count.module_shapes(Net(), shape(2, 5), train=True)
  assert jax.tree.map(lambda x: (x.shape, x.dtype), shapes) == jax.tree.map(
    lambda x: (x.shape, x.dtype), variables
  )
  assert count.params(shapes) == count.params(variables) == 18 + 6


def test_params_of_any_tree():
  assert count.params([shape(2, 3), jnp.zeros(4), 1.0]) == 11
  assert count.params({}) == 0
  for other in (nn.Dense(10), lambda x: x):
    with pytest.raises(TypeError, match=r'module_shapes\(module, \*inputs'):
      count.params(other)
  # A normalisation without scale and bias has statistics only.
  norm = nn.BatchNorm(use_running_average=True, use_bias=False, use_scale=False)
  assert count.params(count.module_shapes(norm, X)) == 0
