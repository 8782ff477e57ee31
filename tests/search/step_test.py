"""The search step: what it changes, what it does not, and its gradient."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nasjax import constraint, cost, data, ops, relax, search, spaces, supernet
from nasjax.data import augment
from nasjax.supernet import stacked

CLASSES = 4


def _arrays(n=64, seed=0):
  """Images of 8 pixels whose class is where they are bright: learnable."""
  rng = np.random.default_rng(seed)
  labels = (np.arange(n) % CLASSES).astype(np.int32)
  images = rng.integers(0, 60, (n, 8, 8, 1))
  for i, c in enumerate(labels):
    images[i, c // 2 * 4 :][:4, c % 2 * 4 :][:, :4] += 150
  return data.Arrays(images.astype(np.uint8), labels)


SPACE = spaces.tiny(num_classes=CLASSES)
MACS = cost.macs(SPACE)
BATCHES = data.Batches(16, (0.4,), (0.3,))


def _make(
  constraints=None,
  loss=search.cross_entropy,
  batches=BATCHES,
  numerics=ops.Numerics(),  # noqa: B008 (frozen)
  **kwargs,
):
  middle = sum(MACS.bounds()) / 2
  defaults = {
    'weight_tx': optax.sgd(0.05, momentum=0.9),
    'alpha_tx': optax.adam(0.05),
  }
  constraints = constraints or [(MACS, constraint.lagrangian(middle, 0.1))]
  return search.make(
    SPACE.search_network(numerics),
    SPACE.choices,
    batches,
    constraints,
    loss=loss,
    **{**defaults, **kwargs},
  )


@functools.cache
def _default(loss=search.cross_entropy, constrain=constraint.lagrangian):
  """Jitted parts, so that tests share what compiles."""
  limit = sum(MACS.bounds()) / 2
  parts = _make([(MACS, constrain(limit, 0.1))], loss=loss)
  return search.Search(*map(jax.jit, parts))


def _run(parts, steps, warmup=0, seed=0, edit=lambda state: state):
  arrays = _arrays()
  init, weight_step, alpha_step, *_ = parts
  state, metrics = edit(init(jax.random.key(seed), arrays, arrays)), {}
  for i in range(steps):
    state, metrics = weight_step(state, arrays)
    if i >= warmup:
      state, more = alpha_step(state, arrays, arrays)
      metrics = {**metrics, **more}
  return state, metrics


def _nothing(logits, labels):
  """A task that does not care."""
  del labels
  return 0.0 * logits.sum()


def test_each_step_changes_its_own_part_alone():
  parts, arrays = _default(), _arrays()
  before = parts.init(jax.random.key(0), arrays, arrays)
  weights, _ = parts.weight_step(before, arrays)
  for name in ('alphas', 'alpha_opt_state', 'constraints', 'valid'):
    chex.assert_trees_all_equal(getattr(weights, name), getattr(before, name))
  assert int(weights.step) == 1
  alphas, _ = parts.alpha_step(weights, arrays, arrays)
  for name in ('step', 'params', 'batch_stats', 'opt_state', 'train'):
    chex.assert_trees_all_equal(getattr(alphas, name), getattr(weights, name))
  for slot in SPACE.choices:
    assert (alphas.alphas[slot] != weights.alphas[slot]).any()
  assert type(before) is type(weights) is type(alphas) is search.State


@pytest.mark.slow
def test_weights_learn_through_the_ops_that_alphas_choose():
  """Where an op has no probability, its weights get no gradient."""
  parts, arrays = _default(), _arrays()
  start = parts.init(jax.random.key(0), arrays, arrays)
  for chosen in range(2):  # Of the ops that have weights.
    hot = {
      k: 200.0 * (jnp.arange(len(a)) == chosen) for k, a in start.alphas.items()
    }
    after, _ = parts.weight_step(start._replace(alphas=hot), arrays)
    for slot, options in SPACE.choices.items():
      for i, op in enumerate(options[:2]):
        before, now = start.params[slot][op], after.params[slot][op]
        same = [
          bool((a == b).all())
          for a, b in zip(*map(jax.tree.leaves, (before, now)), strict=True)
        ]
        assert (not any(same)) if i == chosen else all(same), (slot, op)


def test_step_is_both_halves():
  parts, arrays = _default(), _arrays()
  start = parts.init(jax.random.key(0), arrays, arrays)
  half, _ = parts.weight_step(start, arrays)
  halves, _ = parts.alpha_step(half, arrays, arrays)
  whole, _ = parts.step(start, arrays, arrays)
  chex.assert_trees_all_close(
    jax.tree.leaves(whole.params), jax.tree.leaves(halves.params), atol=1e-5
  )
  chex.assert_trees_all_close(whole.alphas, halves.alphas, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize('relaxation', [relax.SOFTMAX, relax.GUMBEL_SOFTMAX])
def test_alpha_gradient_is_that_of_finite_differences(x64, relaxation):
  """With SGD of rate 1 the step is minus the gradient of `total_loss`."""
  parts, arrays = (
    _make(
      alpha_tx=optax.sgd(1.0),
      relaxation=relaxation,
      temperature=lambda step: 0.7,
      numerics=ops.Numerics(dtype=jnp.float64),
      constraints=[
        (MACS, constraint.lagrangian(MACS.bounds()[1] / 2, 0.1, 0.8)),
        (cost.params(SPACE), constraint.linear(0.3, 1000.0)),
      ],
    ),
    _arrays(),
  )
  step = jax.jit(parts.alpha_step)
  state = jax.jit(parts.init)(jax.random.key(0), arrays, arrays)
  after, _ = step(state, arrays, arrays)
  h = 1e-5

  def total(slot, j, h):
    moved = {**state.alphas, slot: state.alphas[slot].at[j].add(h)}
    _, metrics = step(state._replace(alphas=moved), arrays, arrays)
    return float(metrics['total_loss'])

  for slot in state.alphas:
    for j in range(state.alphas[slot].size):
      slope = (total(slot, j, h) - total(slot, j, -h)) / (2 * h)
      gradient = float(state.alphas[slot][j] - after.alphas[slot][j])
      assert gradient == pytest.approx(slope, rel=1e-5, abs=1e-7)


@pytest.mark.slow
def test_without_a_task_the_expected_cost_falls_below_the_limit():
  """The multiplier rises from 0 while the limit is exceeded, and then rests."""
  low, high = MACS.bounds()
  limit = low + 0.3 * (high - low)

  def tighter(state):
    (only,) = state.constraints
    return state._replace(constraints=(only._replace(limit=limit),))

  parts = _default(loss=_nothing)
  _, first = _run(parts, 1, edit=tighter)
  state, last = _run(parts, 100, edit=tighter)
  assert float(first['macs']) > 1.1 * limit
  assert float(last['macs']) <= limit
  assert float(state.constraints[0].limit) == pytest.approx(limit)


@pytest.mark.slow
def test_the_search_is_more_than_its_cost_term():
  """Price alone, task alone and both give three different sets of alphas."""

  def alphas(strength, loss):
    def priced(state):
      price = constraint.linear(strength, MACS.bounds()[1]).init()
      return state._replace(constraints=(price,))

    parts = _default(loss=loss, constrain=constraint.linear)
    return _run(parts, 40, warmup=10, edit=priced)[0].alphas

  both = alphas(1.0, search.cross_entropy)
  task = alphas(0.0, search.cross_entropy)
  price = alphas(1.0, _nothing)

  def distance(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(float(jnp.abs(x - y).max()) for x, y in pairs)

  # Alphas start 1e-3 apart; Adam moves them by up to 0.05 a step.
  assert distance(both, task) > 0.2
  assert distance(both, price) > 0.2
  assert distance(task, price) > 0.2


@pytest.mark.slow
def test_a_projection_keeps_the_limit_after_every_step():
  low, high = MACS.bounds()
  limit = low + 0.3 * (high - low)
  keep = constraint.project([MACS], [limit])
  parts, arrays = (
    _make([], projection=keep),
    _arrays(),
  )
  step = jax.jit(parts.alpha_step)
  state = jax.jit(parts.init)(jax.random.key(0), arrays, arrays)
  for _ in range(5):
    state, metrics = step(state, arrays, arrays)
    after = float(MACS(relax.softmax(state.alphas)))
    assert 0.95 * limit < after < (1 + 1e-4) * limit
  # What the loss saw is what the step before left.
  assert float(metrics['macs']) < (1 + 1e-4) * limit
  assert state.projection.duals.shape == (1,)


def test_weights_learn_the_task():
  _, metrics = _run(_default(), 60)
  assert float(metrics['train_accuracy']) > 0.8  # chance is 0.25


def test_the_key_decides_everything():
  a, b = (_run(_default(), 5, seed=s)[0] for s in (1, 1))
  chex.assert_trees_all_equal(a.params, b.params)
  chex.assert_trees_all_equal(a.alphas, b.alphas)
  c = _run(_default(), 5, seed=2)[0]
  assert (a.alphas['stage1_1'] != c.alphas['stage1_1']).any()


def _op_parts(tree):
  """Leaves of each op of each choice."""
  for slot in SPACE.slots:
    for op in slot.op_names if len(slot.ops) > 1 else ():
      yield slot.name, op, jax.tree.leaves(tree[slot.name].get(op, {}))


def _changed(before, after):
  """Ops of which something differs, by slot."""
  found = {slot: set() for slot in SPACE.choices}
  pairs = zip(_op_parts(before), _op_parts(after), strict=True)
  for (slot, op, old), (_, _, new) in pairs:
    if any((a != b).any() for a, b in zip(old, new, strict=True)):
      found[slot].add(op)
  return found


@pytest.mark.slow
@pytest.mark.parametrize('relaxation', [relax.GDAS, relax.BINARY_GATES])
def test_a_sampled_weight_step_moves_what_ran_alone(relaxation):
  """One op of each slot, in weights, statistics and momentum alike."""
  tx = optax.chain(
    optax.add_decayed_weights(0.1), optax.sgd(0.05, momentum=0.9)
  )
  parts, arrays = _make(weight_tx=tx, relaxation=relaxation), _arrays()
  state = jax.jit(parts.init)(jax.random.key(3), arrays, arrays)
  step, seen = jax.jit(parts.weight_step), set()
  shapes = _shapes(state.alphas)

  def kept(state):
    """What there is of each op: weights, momentum and statistics."""
    trace = optax.tree.get(state.opt_state, 'trace')
    own = (
      (state.params, 'params'),
      (trace, 'params'),
      (state.batch_stats, 'batch_stats'),
    )
    return [stacked.unstack(SPACE.choices, t, shapes[name]) for t, name in own]

  for _ in range(6):
    after, _ = step(state, arrays)
    moved, *others = map(_changed, kept(state), kept(after))
    # At most one, and none where the skip, which has no weights, was drawn.
    assert all(len(ops_) <= 1 for ops_ in moved.values())
    assert all(other == moved for other in others)
    chex.assert_trees_all_equal(
      parts.params(after, arrays.images), kept(after)[0]
    )
    seen |= {(slot, *ops_) for slot, ops_ in moved.items()}
    state = after
  assert len(seen) > len(SPACE.choices)  # Not the same ones every time.


@pytest.mark.slow
def test_a_sampled_weight_step_is_the_mixed_one_where_one_op_is_certain():
  """Of weights, their statistics and the loss, whichever op it is."""
  arrays, choice = _arrays(), (1, 0, 1)
  alphas = {
    name: 1e3 * jax.nn.one_hot(i, len(options))
    for i, (name, options) in zip(choice, SPACE.choices.items(), strict=True)
  }
  found = []
  for relaxation in (relax.SOFTMAX, relax.GDAS):
    parts = _make(weight_tx=optax.sgd(0.1), relaxation=relaxation)
    state = jax.jit(parts.init)(jax.random.key(3), arrays, arrays)
    before = parts.params(state, arrays.images)
    state = state._replace(alphas=alphas)
    for _ in range(2):
      state, metrics = jax.jit(parts.weight_step)(state, arrays)
    found.append((parts.params(state, arrays.images), metrics['train_loss']))
  chex.assert_trees_all_close(*found, rtol=1e-4, atol=1e-5)
  names = {s.name: s.op_names for s in SPACE.slots}
  chosen = zip(choice, SPACE.choices, strict=True)
  expected = {slot: {names[slot][i]} for i, slot in chosen}
  assert _changed(before, found[1][0]) == expected


def _shapes(probs):
  """Of the supernet's variables."""
  net, images = supernet.Supernet(SPACE), jnp.zeros((1, 8, 8, 1))
  return jax.eval_shape(
    lambda: net.init(jax.random.key(0), images, probs, train=False)
  )


@pytest.mark.slow
def test_what_alphas_are_judged_on_is_not_augmented():
  """A cutout of nearly all leaves weights blind, and alphas not."""
  blind = dataclasses.replace(BATCHES, policy=augment.Augment(cutout=8))
  arrays, losses = _arrays(), {}
  for batches in (BATCHES, blind):
    parts = _make(batches=batches)
    state = parts.init(jax.random.key(0), arrays, arrays)
    _, train = jax.jit(parts.weight_step)(state, arrays)
    _, valid = jax.jit(parts.alpha_step)(state, arrays, arrays)
    losses[batches] = float(train['train_loss']), float(valid['valid_loss'])
  (trained, judged), (trained_blind, judged_blind) = losses.values()
  assert judged_blind == judged
  assert trained_blind != trained


@pytest.mark.slow
def test_two_gates_move_two_alphas_of_each_slot():
  """By the task; a cost that is not free moves all of them."""
  price, arrays = constraint.linear(0.0, MACS.bounds()[1]), _arrays()
  parts = _make(
    [(MACS, price)],
    alpha_tx=optax.sgd(1.0),
    relaxation=relax.BINARY_GATES,
  )
  state = jax.jit(parts.init)(jax.random.key(0), arrays, arrays)
  step = jax.jit(parts.alpha_step)
  dear = state._replace(
    constraints=(price.init()._replace(strength=jnp.float32(1)),)
  )
  for before, number in ((state, 2), (dear, None)):
    after, _ = step(before, arrays, arrays)
    for slot, options in SPACE.choices.items():
      moved = after.alphas[slot] != before.alphas[slot]
      assert int(moved.sum()) == (number or len(options)), slot


@pytest.mark.slow
def test_a_sampled_step_goes_with_patterns():
  """Conditionals in a conditional: the structure of the state stays."""
  space, arrays = spaces.tiny_macro(num_classes=CLASSES), _arrays()
  parts = search.make(
    space.search_network(),
    space.choices,
    BATCHES,
    [(cost.macs(space), constraint.linear(1.0, 1e4))],
    weight_tx=optax.sgd(0.05, momentum=0.9),
    alpha_tx=optax.adam(0.05),
    relaxation=relax.BINARY_GATES,
  )
  state = jax.eval_shape(parts.init, jax.random.key(0), arrays, arrays)
  after, _ = jax.eval_shape(parts.step, state, arrays, arrays)
  chex.assert_trees_all_equal_shapes_and_dtypes(
    *(s._replace(key=()) for s in (after, state))
  )


def test_harden_is_one_hot_without_a_gradient():
  probs = {'a': jnp.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]])}
  hard = search.harden(probs)['a']
  assert hard.tolist() == [[0, 1, 0], [1, 0, 0]]
  g = jax.grad(lambda p: search.harden({'a': p})['a'].sum())(probs['a'])
  assert not g.any()
