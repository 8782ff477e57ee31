"""Presets: what their papers print, what they cost, and that all works."""

import dataclasses
import functools

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.flags import names
from nasjax import (
  constraint,
  cost,
  count,
  data,
  derive,
  ops,
  relax,
  search,
  space,
  spaces,
  supernet,
  zoo,
)
from nasjax.ops.mbconv import MBConvModule
from nasjax.search import (
  score_function,
)
from nasjax.supernet import Supernet
from tests.spaces import op_by_op
from tests.spaces.spaces_cases import (
  NATIVE,
  TINY,
  Counts,
  as_architecture,
  built_counts,
  cost_of,
  exact_counts,
  is_width,
  macs_of,
  params_of,
)

WIDTH_PRESETS = [spaces.mobile_width, spaces.mobile_width_small]
MACRO_PRESETS = [spaces.mobile_macro, spaces.mobile_macro_small]
PRESETS = [
  spaces.fbnet,
  spaces.proxylessnas,
  spaces.mobilenet_v3,
  *WIDTH_PRESETS,
  *MACRO_PRESETS,
  spaces.nasbench_macro,
]


COUNTED = [
  *PRESETS,
  spaces.mobile_small,
  spaces.mobile_medium,
  spaces.mobile_224,
]
NETWORKS = [
  getattr(zoo, name)
  for name in zoo.__all__
  if name not in ('round_to_multiple', 'scale_widths', 'small_images')
]


def _widths(s):
  return {n.name for n in (slot.features for slot in s.slots) if is_width(n)}


@pytest.mark.parametrize(
  ('preset', 'blocks', 'slots', 'skippable'),
  [
    (spaces.fbnet, 8, 22, 16),
    (spaces.proxylessnas, 6, 21, 15),
    (spaces.mobilenet_v3, 16, 20, 15),
    (spaces.mobile_width, 4, 16, 10),
    (spaces.mobile_width_small, 6, 8, 4),
    (spaces.mobile_macro, 4, 16, 10),
    (spaces.mobile_macro_small, 6, 8, 4),
  ],
)
def test_slots_and_candidates_are_as_many_as_printed(
  preset, blocks, slots, skippable
):
  s = preset()
  searched = [slot for slot in s.slots if len(slot.ops) > 1]
  with_skip = [slot for slot in searched if 'skip' in slot.op_names]
  assert (len(searched), len(with_skip)) == (slots, skippable)
  for slot in searched:
    assert len(slot.ops) == blocks + (slot in with_skip)


@pytest.mark.parametrize(
  ('preset', 'network'),
  [
    (functools.partial(spaces.fbnet, head=1504), zoo.fbnet_a),
    (spaces.fbnet, zoo.fbnet_b),
    (spaces.fbnet, zoo.fbnet_c),
    (spaces.proxylessnas, zoo.proxylessnas_mobile),
    (spaces.mobile_width, zoo.mobilenet_v2),
  ],
)
def test_a_published_network_is_one_of_its_space(preset, network):
  s, published = preset(), network()
  a = as_architecture(s, published)
  for of, resource in ((macs_of, cost.macs), (params_of, cost.params)):
    assert of(preset).exact(a) == resource(published).constant


def test_the_command_line_knows_them():
  for preset in PRESETS:
    assert names.SPACES[preset.__name__] is preset
    sizes = {'image_size': 32, 'channels': 1, 'num_classes': 7}
    s = preset(**sizes)
    assert s.name == preset.__name__
    assert (s.image_size, s.channels, s.num_classes) == tuple(sizes.values())


@pytest.fixture
def blocks_are_traced_once(monkeypatch):
  """Jit keeps the trace of a block for whatever network has one like it."""
  kept, make = nn.jit(MBConvModule, static_argnums=2), ops.MBConv.module
  fields = ('op', 'features', 'stride', 'numerics')

  def module(op, *where):
    made = make(op, *where)
    assert type(made) is MBConvModule
    return kept(**{name: getattr(made, name) for name in fields})

  monkeypatch.setattr(ops.MBConv, 'module', module)


@pytest.mark.drawn(4)
@pytest.mark.slow
@pytest.mark.usefixtures('blocks_are_traced_once')
@pytest.mark.parametrize('preset', COUNTED)
def test_exact_is_the_count_of_the_built_network(preset, draw, architectures):
  s = preset()
  if preset is spaces.mobile_small:  # It is built in no time.
    architectures = max(architectures, 60)
  for _ in range(architectures):
    a = draw(s)
    assert exact_counts(preset, a) == built_counts(space.fix(s, a)), a.choice


@pytest.mark.quick_every(7)
@pytest.mark.parametrize('network', NETWORKS)
def test_a_published_cost_is_the_count_of_the_built_network(network):
  nothing_to_choose = space.Architecture(network(), ())
  assert exact_counts(network, nothing_to_choose) == built_counts(network())


def test_drawing_weights_is_not_counted():
  """What `built_counts` counts is the network as it is applied."""
  network = zoo.mobilenet_v3_small(image_size=32)
  net = Supernet(network, NATIVE)
  images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
  variables = count.module_shapes(net, images, {}, train=False)
  applied = lambda v, x: net.apply(v, x, {}, train=False)  # noqa: E731
  assert built_counts(network) == (
    count.macs(applied, variables, images),
    count.params(variables),
    count.peak_memory(applied, variables, images).bytes,
  )


@pytest.mark.quick_every(5)
@pytest.mark.parametrize('resource', Counts._fields)
@pytest.mark.parametrize('preset', [*COUNTED, *TINY])
def test_cost_at_one_hot_is_exact(preset, resource, draw):
  s, c = preset(), cost_of(resource, preset)
  drawn = [draw(s) for _ in range(200)]
  exact = np.array([c.exact(a) for a in drawn])
  columns = zip(*(a.indices for a in drawn), strict=True)
  single = {
    name: np.eye(len(options))[list(indices)]
    for (name, options), indices in zip(s.choices.items(), columns, strict=True)
  }
  in_float32 = jax.tree.map(np.float32, single)
  np.testing.assert_allclose(jax.vmap(c)(in_float32), exact, rtol=1e-6)
  with jax.enable_x64(True):
    np.testing.assert_array_equal(jax.vmap(c)(single), exact)


@pytest.mark.parametrize('preset', PRESETS)
def test_expected_cost_is_within_bounds(preset):
  s, macs = preset(), macs_of(preset)
  low, high = macs.bounds()
  for seed in range(5):
    alphas = space.init_alphas(s, jax.random.key(seed), 3.0)
    assert low < float(macs(relax.softmax(alphas))) < high


@pytest.mark.quick_every(4)
@pytest.mark.parametrize('preset', [*WIDTH_PRESETS, *MACRO_PRESETS])
def test_expected_cost_is_the_mean_over_drawn_architectures(preset):
  """Widths that meet are independent; their product is in the tables."""
  s, macs = preset(), macs_of(preset)
  rng = np.random.default_rng(0)
  probs = relax.softmax(space.init_alphas(s, jax.random.key(0), 1.0))
  drawn = [
    rng.choice(len(p), 2000, p=np.float64(p) / np.float64(p).sum())
    for p in (probs[name] for name in s.choices)
  ]
  costs = np.array(
    [
      macs.exact(space.Architecture.from_indices(s, indices))
      for indices in zip(*drawn, strict=True)
    ],
    float,
  )
  error = costs.std(ddof=1) / np.sqrt(len(costs))
  assert abs(costs.mean() - float(macs(probs))) < 5 * error


@pytest.mark.parametrize('preset', PRESETS)
def test_deriving_keeps_a_limit(preset):
  s, macs = preset(), macs_of(preset)
  limit = sum(macs.bounds()) // 2
  for seed in range(3):
    alphas = space.init_alphas(s, jax.random.key(seed), 2.0)
    a = derive.within(s, alphas, {macs: limit})
    assert macs.exact(a) <= limit
    # What is the most probable of all is found where it fits.
    best = space.argmax(s, alphas)
    if macs.exact(best) <= limit:
      assert a == best


def _filled(s, parts, pair, arrays):
  """A state of the search with random weights, of which none is initialised.

  To draw them as a search does would have to be compiled.
  """
  key, rng = jax.random.key(0), np.random.default_rng(0)
  shapes = jax.eval_shape(lambda k: parts.init(k, arrays, arrays), key)
  drawn = lambda x: rng.normal(0, 1, x.shape).astype(x.dtype)  # noqa: E731
  zeros = lambda x: np.zeros(x.shape, x.dtype)  # noqa: E731
  n = len(arrays.labels)
  return shapes._replace(
    step=np.int32(0),
    key=key,
    params=jax.tree.map(drawn, shapes.params),
    batch_stats=jax.tree.map(zeros, shapes.batch_stats),
    opt_state=jax.tree.map(zeros, shapes.opt_state),
    alphas=space.init_alphas(s),
    alpha_opt_state=jax.tree.map(zeros, shapes.alpha_opt_state),
    constraints=constraint.chain(pair).init(),
    # The first loss would be its own baseline, and teach the pattern nothing.
    baseline=score_function.Baseline(np.float32(0), np.float32(1)),
    train=data.sampler_init(key, n),
    valid=data.sampler_init(key, n),
    skipped=jax.tree.map(zeros, shapes.skipped),
  )


def _one_step(s):
  """A step of a search by the task alone, and what it is called with."""
  size, rng = s.image_size, np.random.default_rng(0)
  images = rng.integers(0, 256, (8, size, size, s.channels), np.uint8)
  arrays = data.Arrays(images, np.arange(8, dtype=np.int32) % 4)
  macs = cost.macs(s)
  pair = constraint.lagrangian(sum(macs.bounds()) / 2, rate=0.1)
  parts = search.make(
    s.search_network(),
    s.choices,
    data.Batches(4, (0.5,) * s.channels, (0.3,) * s.channels),
    [(macs, pair)],
    weight_tx=optax.sgd(0.05),
    alpha_tx=optax.sgd(1.0),
  )
  return parts.step, _filled(s, parts, pair, arrays), arrays


def _shapes(tree):
  return jax.tree.map(lambda x: (x.shape, x.dtype), tree)


@pytest.fixture
def slots_are_traced_once(monkeypatch):
  """Jit keeps the trace of a slot for all of its stage that are like it."""
  kept = nn.jit(supernet.Mixed, static_argnums=(3,))

  def mixed(slot, numerics, name):
    return kept(dataclasses.replace(slot, name='slot'), numerics, name=name)

  monkeypatch.setattr(supernet, 'Mixed', mixed)


@pytest.mark.slow
@pytest.mark.usefixtures('slots_are_traced_once')
def test_a_step_run_one_operation_at_a_time_is_the_compiled_one():
  step, before, arrays = _one_step(spaces.tiny_macro(num_classes=4))
  found, expected = (
    (after.params, after.batch_stats, after.alphas, metrics)
    for after, metrics in (
      op_by_op.call(step, before, arrays, arrays),
      jax.jit(step)(before, arrays, arrays),
    )
  )
  chex.assert_trees_all_close(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.usefixtures('slots_are_traced_once')
@pytest.mark.parametrize('preset', COUNTED)
def test_a_step_of_the_whole_preset_moves_every_choice(
  preset, architectures, monkeypatch
):
  """And every candidate; by the task alone, as the multiplier is still 0.

  Images are the smallest ones that the strides allow.
  """
  everything = architectures >= 1000
  # Ops, widths and patterns are in these two.
  kinds = preset in (spaces.mobile_width, spaces.mobile_macro)
  if not kinds:
    if not everything:
      pytest.skip('the others have these choices; `make check-full` does it')
  if not everything:
    # A step runs one pattern; that all are traced would take most of the time.
    first = lambda key, choices, probs: {  # noqa: E731
      n: jnp.int32(0) for n, c in choices.items() if c.drawn
    }
    monkeypatch.setattr(score_function, 'draw', first)
    monkeypatch.setattr(jax.lax, 'switch', lambda i, each, *x: each[0](*x))
  s = preset(image_size=17, num_classes=4)
  step, before, arrays = _one_step(s)
  after, metrics = op_by_op.call(step, before, arrays, arrays)
  assert {'train_loss', 'valid_loss', 'macs'} <= metrics.keys()
  for name, value in metrics.items():
    assert np.shape(value) == (), name
    assert np.isfinite(value), name
  assert _shapes(after) == _shapes(before)
  for name, options in s.choices.items():
    moved = before.alphas[name] != after.alphas[name]
    assert moved.shape == (len(options),)
    assert moved.all(), name
  for slot in s.slots:
    for op, weights in before.params[slot.name].items():
      learned = after.params[slot.name][op]
      pairs = zip(*map(jax.tree.leaves, (weights, learned)), strict=True)
      assert any((a != b).any() for a, b in pairs), (slot.name, op)
