"""Guards in a search: each acts where it should, and nowhere else."""

import functools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from nasjax import (
  constraint,
  cost,
  data,
  guard,
  ops,
  relax,
  search,
  space,
  spaces,
)
from tests.guard.guard_cases import MOBILE, TINY, drawn_alphas, make_masks

SPACE = spaces.tiny(num_classes=4)
MACS = cost.macs(SPACE)


def _arrays():
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (48, 8, 8, 1), np.uint8)
  return data.Arrays(images, np.arange(48, dtype=np.int32) % 4)


ARRAYS = _arrays()


def _nothing(logits, labels):
  """A task that does not care."""
  del labels
  return 0.0 * logits.sum()


def _make(
  *,
  price=0.0,
  alpha_tx=None,
  numerics=ops.Numerics(),  # noqa: B008 (frozen)
  **kwargs,
):
  return search.make(
    SPACE.search_network(numerics),
    SPACE.choices,
    data.Batches(16, (0.4,), (0.3,)),
    [(MACS, constraint.linear(price, MACS.bounds()[1]))],
    weight_tx=optax.sgd(0.05),
    alpha_tx=alpha_tx or optax.sgd(1.0),
    **kwargs,
  )


@functools.cache
def _default():
  return search.Search(*map(jax.jit, _make()))


@functools.cache
def _begun():
  state = _default().init(jax.random.key(0), ARRAYS, ARRAYS)
  return state._replace(alphas={k: 500 * a for k, a in state.alphas.items()})


@pytest.mark.slow
def test_the_entropy_term_follows_its_schedule():
  """Its slope at the weight of the step, and nothing else, is added."""
  schedule = optax.linear_schedule(0.0, 0.4, 4, transition_begin=2)
  guards = guard.Guards(entropy=schedule)
  step = jax.jit(_make(loss=_nothing, guards=guards).alpha_step)
  slope = jax.grad(
    lambda a: guard.total_entropy({k: jax.nn.softmax(v) for k, v in a.items()})
  )(_begun().alphas)
  for done, weight in ((0, 0.0), (2, 0.0), (4, 0.2), (6, 0.4), (9, 0.4)):
    state = _begun()._replace(step=jnp.int32(done))
    after, metrics = step(state, ARRAYS, ARRAYS)
    assert float(metrics['entropy_weight']) == pytest.approx(weight)
    for name, g in slope.items():
      moved = state.alphas[name] - after.alphas[name]
      np.testing.assert_allclose(moved, weight * g, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_skips_are_dropped_in_weight_steps_alone():
  def dropping(rate):
    parts = _make(guards=guard.Guards(skip_dropout=lambda step: rate(step)))
    return jax.jit(parts.weight_step), jax.jit(parts.alpha_step)

  weight_step, alpha_step = dropping(lambda step: jnp.where(step < 4, 0.6, 0.0))
  plain = _default()
  differ = []
  for step in range(8):  # The position in the data moves with the key.
    key = jax.random.fold_in(_begun().key, step)
    state = _begun()._replace(step=jnp.int32(step), key=key)
    _, guarded = weight_step(state, ARRAYS)
    _, free = plain.weight_step(state, ARRAYS)
    differ.append(float(guarded['train_loss']) != float(free['train_loss']))
  # Kept or not, a skip is scaled while the rate is above 0.
  assert differ == [True] * 4 + [False] * 4
  for found in zip(
    alpha_step(_begun(), ARRAYS, ARRAYS),
    plain.alpha_step(_begun(), ARRAYS, ARRAYS),
    strict=True,
  ):
    chex.assert_trees_all_close(*map(_without_keys, found), rtol=1e-5)


def _without_keys(tree):
  is_key = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)  # noqa: E731
  return [x for x in jax.tree.leaves(tree) if not is_key(x)]


def _trained(guards, steps=12):
  """How many steps moved the weights of each op."""
  step = jax.jit(_make(guards=guards).weight_step)
  # All but decided for the first op of every slot.
  alphas = {
    k: 200.0 * (jnp.arange(len(a)) == 0) for k, a in _begun().alphas.items()
  }
  state, counts = _begun()._replace(alphas=alphas), {}
  for _ in range(steps):
    before, (state, _) = state, step(state, ARRAYS)
    for slot, names in SPACE.choices.items():
      for op in set(names) - {'skip'}:
        pairs = zip(
          *(jax.tree.leaves(s.params[slot][op]) for s in (before, state)),
          strict=True,
        )
        moved = any(bool((a != b).any()) for a, b in pairs)
        counts[slot, op] = counts.get((slot, op), 0) + moved
  return counts


@pytest.mark.slow
@pytest.mark.parametrize(
  ('fairness', 'share'),
  [
    (None, lambda slot, op: op == SPACE.choices[slot][0]),
    (guard.uniform, lambda slot, op: 1),
    (guard.strict, lambda slot, op: 1 / len(SPACE.choices[slot])),
  ],
)
def test_fair_steps_train_ops_that_alphas_have_given_up(fairness, share):
  """In mixtures an op without probability gets no gradient at all."""
  counts = _trained(guard.Guards(fairness=fairness))
  assert len(counts) == 6
  assert counts == {key: 12 * share(*key) for key in counts}


@functools.cache
def _fair_patterns():
  """A first state, and a weight step in which patterns take turns."""
  macro = spaces.tiny_macro(num_classes=4)
  macs = cost.macs(macro)
  parts = search.make(
    macro.search_network(),
    macro.choices,
    data.Batches(16, (0.4,), (0.3,)),
    [(macs, constraint.linear(0.0, macs.bounds()[1]))],
    weight_tx=optax.sgd(0.05),
    alpha_tx=optax.sgd(1.0),
    guards=guard.Guards(fairness=guard.strict),
  )
  state = jax.jit(parts.init)(jax.random.key(0), ARRAYS, ARRAYS)
  return state, jax.jit(parts.weight_step)


@pytest.mark.slow
@pytest.mark.parametrize('preferred', [0, 1])
def test_strict_fairness_trains_every_pattern_as_often(preferred):
  """By whose statistics change, whatever the alphas prefer."""
  state, step = _fair_patterns()
  decided = 200.0 * jax.nn.one_hot(preferred, 2)
  state = state._replace(alphas={**state.alphas, 'pattern': decided})
  turns = []
  for _ in range(12):
    before, (state, _) = state.batch_stats, step(state, ARRAYS)
    pairs = [
      (np.asarray(a), np.asarray(b))
      for a, b in zip(
        *map(jax.tree.leaves, (before, state.batch_stats)), strict=True
      )
    ]
    updated = [any((a[i] != b[i]).any() for a, b in pairs) for i in range(2)]
    assert sum(updated) == 1
    turns.append(updated.index(True))
  # In every round of two steps each has its turn.
  assert all(sorted(turns[i : i + 2]) == [0, 1] for i in range(0, 12, 2))


def test_fairness_leaves_nothing_to_higher_orders():
  second = functools.partial(search.hypergradient.second, tx=optax.sgd(0.05))
  with pytest.raises(ValueError, match=r'hypergradient\.first, got second'):
    _make(hypergradient=second, guards=guard.Guards(fairness=guard.uniform))


@pytest.mark.slow
def test_the_eigenvalue_is_of_all_ops_though_a_few_are_trained(x64):
  """The distribution and the first weights are the same, in whatever form."""
  found = []
  for relaxation in (relax.SOFTMAX, relax.GDAS):
    parts = _make(
      numerics=ops.Numerics(dtype=jnp.float64), relaxation=relaxation
    )
    state = jax.jit(parts.init)(jax.random.key(0), ARRAYS, ARRAYS)
    found.append(float(jax.jit(parts.eigenvalue)(state, ARRAYS)))
  assert found[0] != 0
  assert found[1] == pytest.approx(found[0], rel=1e-9)


@pytest.mark.slow
def test_the_eigenvalue_is_that_of_the_gradients_of_the_next_step(x64):
  """A Hessian made of differences of those gradients, as a whole."""
  parts = _make(numerics=ops.Numerics(dtype=jnp.float64))
  state = jax.jit(parts.init)(jax.random.key(0), ARRAYS, ARRAYS)
  step = jax.jit(parts.alpha_step)
  measure = jax.jit(parts.eigenvalue)
  restore = ravel_pytree(state.alphas)[1]
  h, n = 1e-7, 7  # So small that no activation changes sides.

  def at(flat):
    return state._replace(alphas=restore(flat))

  def gradient(flat):
    after, _ = step(at(flat), ARRAYS, ARRAYS)
    return flat - ravel_pytree(after.alphas)[0]

  spectra, found = [], []
  for seed in range(4):
    flat = jnp.asarray(np.random.default_rng(seed).normal(size=n))
    ways = h * np.eye(n)
    H = np.stack(
      [(gradient(flat + w) - gradient(flat - w)) / (2 * h) for w in ways]
    )
    np.testing.assert_allclose(H, H.T, atol=1e-8)
    spectra.append(np.linalg.eigvalsh(H))
    found.append(float(measure(at(flat), ARRAYS)))
  for values, own in zip(spectra, found, strict=True):
    # Few products: to a share of the largest magnitude.
    assert abs(own - values.max()) < 0.03 * np.abs(values).max()
  best = max(range(4), key=lambda i: spectra[i].max())
  assert spectra[best].max() > 0.05
  assert found[best] == pytest.approx(spectra[best].max(), rel=1e-3)


@functools.cache
def _priced():
  return search.Search(
    *map(jax.jit, _make(price=1.0, loss=_nothing, alpha_tx=optax.adam(0.05)))
  )


def _search(rule, start, steps=60):
  """The loop of a script: the step at which it stopped, and the verdict."""
  parts, state = _priced(), start
  stop = rule.init(state.alphas)
  for i in range(1, steps + 1):
    state, _ = parts.weight_step(state, ARRAYS)
    state, metrics = parts.alpha_step(state, ARRAYS, ARRAYS)
    stop = rule.update(i, metrics, state.alphas, stop)
    if verdict := rule.verdict(stop):
      return i, verdict
  return math.inf, None


@pytest.mark.slow
def test_a_search_driven_to_skips_is_stopped():
  """By a price alone: the skip is the cheapest op of its slot, and must win."""
  start = _begun()._replace(
    alphas={
      k: jnp.zeros_like(a).at[0].set(0.5) for k, a in _begun().alphas.items()
    },
    alpha_opt_state=optax.adam(0.05).init(_begun().alphas),
    constraints=(constraint.linear(1.0, MACS.bounds()[1]).init(),),
  )
  at, verdict = _search(guard.too_many_skips(1, patience=5), start)
  assert 5 < at < 60
  assert 'skips won 1 of the choices, for 5 steps' in verdict.reason
  # It had not begun there, and there is no second slot to skip.
  assert _search(guard.too_many_skips(2, patience=5), start)[0] == math.inf


def test_guards_compose_in_the_weights_steps_alone():
  """Fairness first, then what is left of the skips; off, nothing changes."""
  probs, key = relax.softmax(drawn_alphas()), jax.random.key(0)
  step = jnp.int32(5)
  drawn = relax.Sampled(probs, None)
  off = guard.Guards().train_probs(drawn, MOBILE.choices, step, key)
  chex.assert_trees_all_equal(off.probs, probs)
  rate = optax.linear_schedule(1.0, 0.0, 10)  # 0.5 at step 5.
  both = guard.Guards(skip_dropout=rate, fairness=guard.uniform)
  found, index = both.train_probs(drawn, MOBILE.choices, step, key)
  assert index is None
  for name, mask in make_masks().items():
    fair = 1 / len(mask)
    np.testing.assert_allclose(found[name][~mask], fair, rtol=1e-6)
    assert any(np.isclose(found[name][mask], v) for v in (0.0, 2 * fair))


def test_strict_fairness_decides_which_op_runs():
  """Whatever was drawn: the op of its turn is the one in the index."""
  guards = guard.Guards(fairness=guard.strict)
  guards.check(MOBILE.choices, relax.GDAS)
  ran = []
  for step in range(12):
    drawn = relax.gdas(drawn_alphas(), 1.0, jax.random.key(step))
    found = guards.train_probs(
      drawn, MOBILE.choices, jnp.int32(step), jax.random.key(0)
    )
    for name, p in found.probs.items():
      assert p[found.index[name]].tolist() == [1.0]
    ran.append({name: int(k[0]) for name, k in found.index.items()})
  for name, options in MOBILE.choices.items():
    turns = [index[name] for index in ran[: len(options)]]
    assert sorted(turns) == list(range(len(options)))


def test_guards_that_need_all_ops_are_refused_where_few_run():
  for needs, what in (
    (guard.Guards(skip_dropout=lambda step: 0.5), 'skip_dropout'),
    (guard.Guards(fairness=guard.uniform), 'fairness uniform'),
  ):
    needs.check(MOBILE.choices)
    with pytest.raises(ValueError, match=f'{what} requires a relaxation that'):
      needs.check(MOBILE.choices, relax.GDAS)


HARD = {'STRAIGHT_THROUGH', 'REINMAX', 'GDAS', 'BINARY_GATES', 'PATHS'}


@pytest.mark.slow
def test_where_one_op_counts_no_skip_is_ever_dropped_and_dropping_refused():
  """Both from the same probs: what is refused would have changed nothing."""
  dropping = guard.Guards(skip_dropout=lambda step: 0.5)
  known = {n: r for n, r in vars(relax).items() if isinstance(r, relax.Relaxed)}
  alphas = {'stage2_2': jnp.array([0.1, 0.0, -0.1])}
  for name, relaxed in known.items():
    mixed = relaxed.weight_probs or relaxed.probs
    changed = False
    for seed in range(4):
      drawn = relax.draw(mixed, alphas, 1.0, jax.random.key(seed))
      after = dropping.train_probs(
        drawn, TINY.choices, 0, jax.random.key(9 + seed)
      )
      pair = (each.probs['stage2_2'] for each in (drawn, after))
      changed |= bool(jnp.not_equal(*pair).any())
    assert changed == (name not in HARD)
    assert guard.is_hard(relaxed, TINY.choices) == (name in HARD)
    if changed:
      dropping.check(TINY.choices, relaxed)
    else:
      with pytest.raises(ValueError, match='skip_dropout requires a relax'):
        dropping.check(TINY.choices, relaxed)


@pytest.mark.parametrize(
  'fairness', [guard.strict, functools.partial(guard.strict, seed=3)]
)
def test_no_skips_are_dropped_where_ops_take_turns(fairness):
  guards = guard.Guards(skip_dropout=lambda step: 0.5, fairness=fairness)
  with pytest.raises(ValueError, match='with strict fairness one option'):
    guards.check(MOBILE.choices)


def test_a_guard_without_anything_to_guard_is_refused():
  fixed = space.fix(TINY, space.argmax(TINY, drawn_alphas(of=TINY)))
  dropping = guard.Guards(skip_dropout=lambda step: 0.5)
  with pytest.raises(ValueError, match='requires a choice with a skip'):
    dropping.check(fixed.choices)
  dropping.check(TINY.choices)
