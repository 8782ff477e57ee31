"""Presets: what their papers print, what they cost, and that all works."""

import dataclasses
import functools
import itertools
from typing import NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments import names
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
from nasjax.supernet import Supernet, downsampling
from tests.spaces import op_by_op

NATIVE = ops.Numerics(lowering='native')
WIDTH_PRESETS = [spaces.mobile_width, spaces.mobile_width_small]
MACRO_PRESETS = [spaces.mobile_macro, spaces.mobile_macro_small]
PRESETS = [
  spaces.fbnet,
  spaces.proxylessnas,
  spaces.mobilenet_v3,
  *WIDTH_PRESETS,
  *MACRO_PRESETS,
]
TINY = [spaces.tiny, spaces.tiny_width, spaces.tiny_macro]
COUNTED = [*PRESETS, spaces.mobile_small, spaces.mobile_224]
NETWORKS = [
  getattr(zoo, name)
  for name in zoo.__all__
  if name not in ('round_to_multiple', 'scale_widths', 'small_images')
]


class Counts(NamedTuple):
  """Exact costs of one network."""

  macs: int
  params: int
  memory: int


@functools.cache
def cost_of(resource, preset):
  """Tests share the tables."""
  return getattr(cost, resource)(preset())


macs_of = functools.partial(cost_of, 'macs')
params_of = functools.partial(cost_of, 'params')


def _widths(s):
  return {n.name for n in (slot.features for slot in s.slots) if _is_width(n)}


def _is_width(features):
  return isinstance(features, space.Width)


# --- What the papers print ---------------------------------------------------


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


def test_fbnet_has_the_layout_of_its_table():
  """Wu et al. 2019, table 1: width, number and stride of the searched rows."""
  rows = []
  for slot in spaces.fbnet().slots[1:-2]:
    if slot.name.endswith('_1'):
      rows.append([slot.features, 0, slot.stride])
    rows[-1][1] += 1
  assert rows == [
    [16, 1, 1],
    [24, 4, 2],
    [32, 4, 2],
    [64, 4, 2],
    [112, 4, 1],
    [184, 4, 2],
    [352, 1, 1],
  ]


def _as_architecture(s, network):
  """The architecture of `s` that has the network's op and width everywhere."""
  choice, fixed = {}, {slot.name: slot for slot in network.slots}
  for slot in s.slots:
    published = fixed[slot.name]
    assert published.stride == slot.stride
    assert published.features in slot.widths
    (op,) = published.ops
    if slot.name != 'classifier':  # whose dropout may differ
      assert op in slot.ops
    choice[slot.name] = op.name
    if _is_width(slot.features):
      choice[slot.features.name] = str(published.features)
  assert len(s.slots) == len(network.slots)
  return space.Architecture(s, tuple(choice[name] for name in s.choices))


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
  a = _as_architecture(s, published)
  for of, resource in ((macs_of, cost.macs), (params_of, cost.params)):
    assert of(preset).exact(a) == resource(published).constant


@pytest.mark.parametrize('network', [zoo.hardcorenas_a, zoo.hardcorenas_f])
def test_hardcorenas_is_shallower_than_the_space_it_came_from(network):
  """Its stages have up to four blocks; those that it lacks are skips."""
  s, published = spaces.mobilenet_v3(), network()
  present = {slot.name: slot for slot in published.slots}
  slots = tuple(
    present.get(
      slot.name, dataclasses.replace(slot, ops=(ops.Skip(),), stride=1)
    )
    for slot in s.slots
  )
  a = _as_architecture(s, dataclasses.replace(published, slots=slots))
  for of, resource in ((macs_of, cost.macs), (params_of, cost.params)):
    assert of(spaces.mobilenet_v3).exact(a) == resource(published).constant


def test_mobile_small_is_within_its_width_space(draw):
  narrow, wide = spaces.mobile_small(), spaces.mobile_width_small()
  for _ in range(10):
    # Where the first slot's width is a choice it cannot be skipped.
    a = space.Architecture(narrow, ('mbconv_k3_e1', *draw(narrow).choice[1:]))
    b = _as_architecture(wide, space.fix(narrow, a))
    found = macs_of(spaces.mobile_width_small).exact(b)
    assert found == cost.macs(narrow).exact(a)


def test_squeeze_excite_and_activation_are_choices_of_their_own():
  """All 16 combinations stand in a slot; the activation costs no MAC."""
  s = spaces.mobilenet_v3()
  blocks = [op for op in s.slots[3].ops if isinstance(op, ops.MBConv)]
  varied = {(b.kernel, b.expand, b.se, b.activation) for b in blocks}
  assert len(varied) == len(blocks) == 16
  shape = (1, 28, 28, 24)
  by_activation = {
    activation: [
      cost.op_macs(b, 24, 1, shape)
      for b in blocks
      if b.activation == activation
    ]
    for activation in ('relu', 'hard_swish')
  }
  assert by_activation['relu'] == by_activation['hard_swish']
  assert len(set(by_activation['relu'])) == 8


def test_multipliers_are_the_callers():
  """All seven of Bender et al. 2020; narrow stages round some together."""
  seven = spaces.mobile_width(
    multipliers=(0.5, 0.625, 0.75, 1.0, 1.25, 1.5, 2.0)
  )
  assert seven.choices['stage2_width'] == ('16', '24', '32', '40', '48')
  assert len(seven.choices['stage6_width']) == 7


def test_the_command_line_knows_them():
  for preset in PRESETS:
    assert names.SPACES[preset.__name__] is preset
    sizes = {'image_size': 32, 'channels': 1, 'num_classes': 7}
    s = preset(**sizes)
    assert s.name == preset.__name__
    assert (s.image_size, s.channels, s.num_classes) == tuple(sizes.values())


# --- What they cost: closed forms, and the program of what is built -----------


def _exact(preset, a):
  return Counts(*(cost_of(name, preset).exact(a) for name in Counts._fields))


def _built(network):
  """Counts of the whole built network, from its traced program."""
  net = Supernet(network, NATIVE)
  size = network.image_size
  images = jax.ShapeDtypeStruct((1, size, size, network.channels), jnp.float32)
  found = {}

  # Drawing weights has no MACs, and what is computed from the key alone is no
  # activation: one trace, which jit keeps, serves for all three numbers.
  @jax.jit
  def program(key, images):
    logits, found['variables'] = net.init_with_output(
      key, images, {}, train=False
    )
    return logits

  key = jax.eval_shape(jax.random.key, 0)
  return Counts(
    count.macs(program, key, images),
    count.params(found['variables']),
    count.peak_memory(program, key, images).bytes,
  )


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


@pytest.mark.usefixtures('blocks_are_traced_once')
@pytest.mark.parametrize('preset', COUNTED)
def test_exact_is_the_count_of_the_built_network(preset, draw, architectures):
  s = preset()
  if preset is spaces.mobile_small:  # It is built in no time.
    architectures = max(architectures, 200)
  for _ in range(architectures):
    a = draw(s)
    assert _exact(preset, a) == _built(space.fix(s, a)), a.choice


@pytest.mark.parametrize(
  ('preset', 'number'), list(zip(TINY, (12, 48, 24), strict=True))
)
def test_every_combination_is_the_count_of_the_built_network(preset, number):
  """Widths that meet, places to downsample."""
  s = preset()
  sizes = [range(len(options)) for options in s.choices.values()]
  every = list(itertools.product(*sizes))
  assert len(every) == number
  for indices in every:
    a = space.Architecture.from_indices(s, indices)
    assert _exact(preset, a) == _built(space.fix(s, a)), a.choice


@pytest.mark.parametrize('network', NETWORKS)
def test_a_published_cost_is_the_count_of_the_built_network(network):
  nothing_to_choose = space.Architecture(network(), ())
  assert _exact(network, nothing_to_choose) == _built(network())


def test_drawing_weights_is_not_counted():
  """What `_built` counts is the network as it is applied."""
  network = zoo.mobilenet_v3_small(image_size=32)
  net = Supernet(network, NATIVE)
  images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
  variables = count.module_shapes(net, images, {}, train=False)
  applied = lambda v, x: net.apply(v, x, {}, train=False)  # noqa: E731
  assert _built(network) == (
    count.macs(applied, variables, images),
    count.params(variables),
    count.peak_memory(applied, variables, images).bytes,
  )


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


# --- All the rest works on them ----------------------------------------------


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
    baseline=downsampling.Baseline(np.float32(0), np.float32(1)),
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
    s,
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


@pytest.mark.usefixtures('slots_are_traced_once')
@pytest.mark.parametrize('preset', COUNTED)
def test_a_step_of_the_whole_preset_moves_every_choice(
  preset, architectures, monkeypatch
):
  """And every candidate; by the task alone, as the multiplier is still 0.

  Images are the smallest ones that the strides allow.
  """
  everything = architectures >= 1000
  if preset not in PRESETS or preset.__name__.endswith('_small'):
    if not everything:
      pytest.skip('the others have these choices; `make check-full` does it')
  if not everything:
    # A step runs one pattern; that all are traced would take most of the time.
    monkeypatch.setattr(downsampling, 'draw', lambda key, probs: jnp.int32(0))
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
