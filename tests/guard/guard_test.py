"""Guards: closed forms, statistics, and that each of them acts."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nasjax import guard, relax, space, spaces

TINY = spaces.tiny()
MOBILE = spaces.mobile_small()


def _alphas(seed=0, scale=1.0, of=MOBILE):
  return space.init_alphas(of, jax.random.key(seed), scale)


# --- Entropy -----------------------------------------------------------------


def test_entropy_is_that_of_known_distributions():
  probs = {
    'even': jnp.full((2, 4), 0.25),
    'decided': jnp.array([0.0, 1.0, 0.0]),
    'coin': jnp.array([0.9, 0.1]),
  }
  found = guard.entropy(probs)
  np.testing.assert_allclose(found['even'], [np.log(4)] * 2, rtol=1e-6)
  assert float(found['decided']) == 0
  coin = -0.9 * np.log(0.9) - 0.1 * np.log(0.1)
  np.testing.assert_allclose(found['coin'], coin, rtol=1e-6)
  total = guard.total_entropy(probs)
  np.testing.assert_allclose(total, 2 * np.log(4) + coin, rtol=1e-6)


def test_the_slope_of_entropy_in_alphas_is_its_closed_form(x64):
  """dH/dalpha_j = -p_j (log p_j + H)."""
  alphas = {'a': jnp.array([0.3, -1.0, 2.0])}
  slope = jax.grad(lambda a: guard.total_entropy(relax.softmax(a)))(alphas)
  p = jax.nn.softmax(alphas['a'])
  h = -(p * jnp.log(p)).sum()
  np.testing.assert_allclose(slope['a'], -p * (jnp.log(p) + h), rtol=1e-10)


def test_entropy_where_a_probability_is_0_has_a_finite_slope():
  far = {'a': jnp.array([0.0, -1000.0])}
  slope = jax.grad(lambda a: guard.total_entropy(relax.softmax(a)))(far)
  np.testing.assert_array_equal(slope['a'], [0, 0])


@pytest.mark.parametrize(('weight', 'decides'), [(1.0, True), (-1.0, False)])
def test_descending_the_entropy_decides_and_ascending_undecides(
  weight, decides
):
  start = alphas = _alphas()
  slope = jax.jit(jax.grad(lambda a: guard.total_entropy(relax.softmax(a))))
  for _ in range(100):
    g = slope(alphas)
    alphas = jax.tree.map(lambda a, g: a - weight * g, alphas, g)
  before, after = (guard.entropy(relax.softmax(a)) for a in (start, alphas))
  for name in MOBILE.choices:
    assert (after[name] < before[name]) == decides
  if decides:  # And for the option that led.
    chex.assert_trees_all_equal(
      *(jax.tree.map(jnp.argmax, a) for a in (start, alphas))
    )


# --- Skips -------------------------------------------------------------------


def _masks():
  """Which options are skips, `bool[options]`, of every choice with one."""
  choices = MOBILE.choices
  return {
    name: np.arange(len(choices[name])) == i
    for name, i in guard.skips(choices).items()
  }


def test_skips_are_where_stride_and_width_stay():
  skips = guard.skips(MOBILE.choices)
  found = {name for name, ops in MOBILE.choices.items() if 'skip' in ops}
  assert set(skips) == found
  assert len(found) == 5
  for name, i in skips.items():
    assert MOBILE.choices[name][i] == 'skip'
  assert not guard.skips(
    space.fix(TINY, space.argmax(TINY, _alphas(of=TINY))).choices
  )


def test_as_many_skips_are_counted_as_win(draw):
  for _ in range(20):
    a = draw(MOBILE)
    found = guard.count_skips(space.one_hot(a), MOBILE.choices)
    assert int(found) == a.choice.count('skip')


def test_skips_are_dropped_at_the_rate_and_the_mean_stays():
  """Binomial bound of 5 standard deviations over 4,000 draws."""
  probs, rate, n = relax.softmax(_alphas()), 0.3, 4000
  keys = jax.random.split(jax.random.key(0), n)
  drop = lambda k: guard.drop_skips(probs, MOBILE.choices, rate, k)  # noqa: E731
  dropped, masks = jax.jit(jax.vmap(drop))(keys), _masks()
  gone = []
  for name, p in probs.items():
    mask = masks.get(name, np.zeros(len(p), bool))
    others = np.broadcast_to(p[~mask], (n, (~mask).sum()))
    np.testing.assert_array_equal(dropped[name][:, ~mask], others)
    if mask.any():
      own = dropped[name][:, mask][:, 0]
      gone.append(own == 0)
      grown = float(p[mask][0]) / (1 - rate)
      np.testing.assert_allclose(own[own > 0], grown, rtol=1e-6)
      assert abs(gone[-1].mean() - rate) < 5 * (rate * (1 - rate) / n) ** 0.5
  # Each skip on its own.
  both = (gone[0] & gone[1]).mean()
  assert abs(both - rate**2) < 5 * (rate**2 / n) ** 0.5


def test_without_a_rate_nothing_is_dropped():
  probs, key = relax.softmax(_alphas()), jax.random.key(0)
  chex.assert_trees_all_equal(
    guard.drop_skips(probs, MOBILE.choices, 0.0, key), probs
  )


def test_a_skip_that_is_alone_is_never_dropped():
  """As in a one-hot sample: else nothing reached the rest of the network."""
  probs = {'stage2_2': jnp.array([[0.0, 0.0, 1.0], [0.5, 0.0, 0.5]])}
  keys = jax.random.split(jax.random.key(0), 50)
  drop = jax.vmap(
    lambda k: guard.drop_skips(probs, TINY.choices, 0.9, k)['stage2_2']
  )
  one, mixed = drop(keys).transpose(1, 0, 2)
  np.testing.assert_array_equal(one, np.tile([0, 0, 1], (50, 1)))
  assert (mixed[:, 2] == 0).any()


def test_what_skips_are_dropped_from_still_has_a_gradient():
  """Alphas learn through what is left, and through a skip that was kept."""
  alphas, key = _alphas(of=TINY), jax.random.key(3)

  def first_output(alphas):
    p = guard.drop_skips(relax.softmax(alphas), TINY.choices, 0.5, key)
    return p['stage2_2'][0]

  assert (jax.grad(first_output)(alphas)['stage2_2'] != 0).all()


# --- Fairness ----------------------------------------------------------------


def test_strict_fairness_never_lets_an_option_lead_by_more_than_one():
  probs = relax.softmax(_alphas()) | {'edges': jnp.full((3, 5), 0.2)}
  chosen = jax.jit(jax.vmap(lambda step: guard.strict(probs, step)))(
    jnp.arange(42)
  )
  for name, p in chosen.items():
    assert p.shape[1:] == probs[name].shape
    assert set(np.unique(p)) == {0, 1}
    np.testing.assert_array_equal(p.sum(-1), 1)
    trained = np.cumsum(p, 0)
    assert (trained.max(-1) - trained.min(-1)).max() == 1
    rounds = trained[p.shape[-1] - 1 :: p.shape[-1]]
    np.testing.assert_array_equal(rounds.max(-1), rounds.min(-1))


def test_orders_differ_between_rounds_choices_and_seeds():
  probs = {'a': jnp.full(6, 1 / 6), 'b': jnp.full(6, 1 / 6)}

  def order(name, start, seed):
    steps = range(start, start + 6)
    each = (guard.strict(probs, step, seed)[name].argmax() for step in steps)
    return tuple(map(int, each))

  orders = [order('a', 0, 0), order('a', 6, 0), order('b', 0, 0)]
  orders += [order('a', 0, 1)]
  assert len(set(orders)) == 4
  assert order('a', 0, 0) == orders[0]


def test_uniform_fairness_looks_at_no_probability():
  probs = relax.softmax(_alphas(scale=5.0))
  fair = guard.uniform(probs, jnp.int32(7))
  for p in fair.values():
    np.testing.assert_allclose(p, np.full(len(p), 1 / len(p)), rtol=1e-6)


# --- The largest eigenvalue --------------------------------------------------

DIRECTIONS = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]


@pytest.mark.parametrize(
  'spectrum',
  [
    [3, 2, 1, 0.5, 0, -1],
    [-4, 2, 1, 0, 0, 0],
    [2, -2, 0, 0, 0, 0],
    [-4, -3, -2, -2, -2, -1],
    [1e-3] * 5 + [5e-3],
    [0] * 6,
  ],
)
def test_the_eigenvalue_is_that_of_the_whole_hessian(x64, spectrum):
  """Where negative ones are larger in magnitude, or as large, too."""
  H = DIRECTIONS @ np.diag(spectrum) @ DIRECTIONS.T

  def loss(alphas):
    flat = jnp.concatenate([alphas['a'], alphas['b'].ravel()])
    return flat @ H @ flat / 2 + flat.sum()

  alphas = {'a': jnp.ones(2), 'b': jnp.ones((2, 2))}
  found = guard.largest_eigenvalue(loss, alphas, jax.random.key(0), 200)
  wanted = np.linalg.eigvalsh(H).max()
  np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


def test_the_eigenvalue_is_that_at_the_given_alphas(x64):
  """Of a loss through softmax, against the eigenvalues of `jax.hessian`."""
  target = jnp.array([0.7, 0.2, 0.1])

  def loss(alphas):
    return ((jax.nn.softmax(alphas['a']) - target) ** 2).sum()

  for start in ([0.0, 0.0, 0.0], [2.0, -1.0, 0.5], [-3.0, 3.0, 0.0]):
    a = jnp.array(start)
    H = jax.hessian(lambda a: loss({'a': a}))(a)
    wanted = np.linalg.eigvalsh(H).max()
    found = guard.largest_eigenvalue(loss, {'a': a}, jax.random.key(1), 200)
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-12)


def test_few_products_find_most_of_the_eigenvalue():
  """Never beyond it, and in float32: as a search measures."""
  H = jnp.asarray(DIRECTIONS @ np.diag([3, 2, 1, 1, 0, 0]) @ DIRECTIONS.T)
  loss = lambda a: a['a'] @ H.astype(a['a'].dtype) @ a['a'] / 2  # noqa: E731
  keys = jax.random.split(jax.random.key(0), 20)
  alphas = {'a': jnp.ones(6)}
  measure = jax.vmap(lambda k: guard.largest_eigenvalue(loss, alphas, k))
  found = measure(keys)
  assert (found <= 3 * (1 + 1e-6)).all()
  assert (found > 0.99 * 3).all()


# --- Stopping ----------------------------------------------------------------


def _stopped(rule, rows, alphas=None):
  """At which row, counted from 1, and the verdict; None if at none."""
  alphas = alphas or [{'a': np.float32([i])} for i in range(1, len(rows) + 1)]
  state = rule.init(alphas[0])
  for i, (row, own) in enumerate(zip(rows, alphas, strict=True), 1):
    state = rule.update(i, row, own, state)
    if verdict := rule.verdict(state):
      return i, verdict
  return None


def test_skips_stop_once_they_stay_too_many():
  rule = guard.too_many_skips(2, patience=3)
  counts = [0, 2, 3, 1, 2, 2, 1, 3, 2, 2, 2]
  at, verdict = _stopped(rule, [{'skips': n} for n in counts])
  assert at == 10
  assert verdict.alphas is None
  assert 'skips won 2 of the choices, for 3 steps' in verdict.reason
  assert _stopped(rule, [{'skips': n} for n in (1, 2, 2, 1) * 5]) is None


def _eigenvalues(values):
  """A step without a measurement before each that has one."""
  pairs = [({}, {'eigenvalue': np.float32(v)}) for v in values]
  return [row for pair in pairs for row in pair]


def test_a_rising_eigenvalue_stops_where_the_ratio_says_so():
  """Held to the definition, written out, on a series that first wavers."""
  values = [1.0, 1.3, 0.8, 1.1, 0.9, 1.0, 1.2, 0.9, 1.1, 1.2, 1.4, 1.5]
  values += [1.6, 1.7, 1.8, 1.9, 2.0, 2.1]
  mean = lambda t: np.mean(values[t - 4 : t + 1])  # noqa: E731
  first = next(t for t in range(8, len(values)) if mean(t - 4) / mean(t) < 0.75)
  assert 9 < first < len(values) - 1
  at, verdict = _stopped(guard.rising_curvature(), _eigenvalues(values))
  assert at == 2 * (first + 1)
  # To the middle of the five that ended four measurements before; the i-th
  # measurement was at step 2 i, with alphas of that value.
  assert verdict.step == 2 * (first + 1 - 4 - 2)
  assert verdict.alphas['a'].tolist() == [verdict.step]
  assert f'from {mean(first - 4):.3g} to {mean(first):.3g}' in verdict.reason


@pytest.mark.parametrize(
  'values',
  [
    [1.0] * 20,
    list(np.linspace(2, 1, 20)),
    list(np.geomspace(1, 2, 20)),  # By a ratio of 0.86 in four.
    list(np.geomspace(1, 100, 8)),  # Too few to say.
    list(np.linspace(-9, -1, 20)),  # Of no sign to divide by.
    [-3.0] * 5 + [1.0] * 4,
    [np.nan] * 20,
  ],
)
def test_an_eigenvalue_that_does_not_rise_does_not_stop(values):
  assert _stopped(guard.rising_curvature(), _eigenvalues(values)) is None


@pytest.mark.parametrize('window', [1, 2, 3, 4, 5])
@pytest.mark.parametrize('apart', [1, 2, 4])
def test_it_returns_to_the_middle_of_the_older_measurements(window, apart):
  values = [1.0] * (window + apart - 1) + [1e6]
  rule = guard.rising_curvature(window=window, apart=apart)
  at, verdict = _stopped(rule, [{'eigenvalue': v} for v in values])
  assert at == len(values)
  older = range(1, window + 1)
  assert verdict.step == older[(window - 1) // 2]
  assert verdict.alphas['a'].tolist() == [verdict.step]


@pytest.mark.parametrize('place', range(9))
def test_a_single_negative_eigenvalue_does_not_silence_the_rule(place):
  values = np.geomspace(1, 100, 9)
  values[place] = -0.01
  at, _ = _stopped(
    guard.rising_curvature(), [{'eigenvalue': v} for v in values]
  )
  assert at == 9


def test_the_first_rule_that_stops_says_why():
  rule = guard.any_of(
    guard.too_many_skips(2, patience=1),
    guard.rising_curvature(window=1, apart=1),
  )
  rows = [{'skips': 0, 'eigenvalue': v} for v in (1.0, 1.1, 3.0)]
  assert _stopped(rule, rows)[0] == 3
  assert 'eigenvalue' in _stopped(rule, rows)[1].reason
  rows[1] = {'skips': 2}
  assert 'skip' in _stopped(rule, rows)[1].reason
  assert _stopped(guard.any_of(), rows) is None


def test_updates_change_no_state_and_keep_its_types():
  """What was saved stays what it was, and loads into what `init` gives."""
  rule = guard.any_of(guard.too_many_skips(2), guard.rising_curvature())
  alphas = {'a': jnp.ones(3), 'b': jnp.ones((2, 3))}
  start = rule.init(alphas)
  kept = jax.tree.map(np.copy, start)
  row = {'skips': jnp.int32(3), 'eigenvalue': jnp.float32(2.0)}
  after = rule.update(7, row, jax.tree.map(lambda a: 2 * a, alphas), start)
  chex.assert_trees_all_equal(start, kept)
  chex.assert_trees_all_equal_shapes_and_dtypes(start, after)
  # NumPy's scalars, which look the same, cannot be saved.
  assert all(isinstance(x, np.ndarray) for x in jax.tree.leaves((start, after)))


@pytest.mark.parametrize(
  ('make', 'bad'),
  [
    (guard.too_many_skips, {'limit': 0}),
    (guard.rising_curvature, {'ratio': 1.0}),
    (guard.rising_curvature, {'ratio': 0.0}),
    (guard.rising_curvature, {'window': 0}),
    (guard.rising_curvature, {'apart': 0}),
  ],
)
def test_rules_out_of_range_are_refused(make, bad):
  ((name, value),) = bad.items()
  with pytest.raises(ValueError, match=f'{name}={value}'):
    make(**bad)


def test_guards_compose_in_the_weights_steps_alone():
  """Fairness first, then what is left of the skips; off, nothing changes."""
  probs, key = relax.softmax(_alphas()), jax.random.key(0)
  step = jnp.int32(5)
  drawn = relax.Sampled(probs, None)
  off = guard.Guards().train_probs(drawn, MOBILE.choices, step, key)
  chex.assert_trees_all_equal(off.probs, probs)
  rate = optax.linear_schedule(1.0, 0.0, 10)  # 0.5 at step 5.
  both = guard.Guards(skip_dropout=rate, fairness=guard.uniform)
  found, index = both.train_probs(drawn, MOBILE.choices, step, key)
  assert index is None
  for name, mask in _masks().items():
    fair = 1 / len(mask)
    np.testing.assert_allclose(found[name][~mask], fair, rtol=1e-6)
    assert any(np.isclose(found[name][mask], v) for v in (0.0, 2 * fair))


def test_strict_fairness_decides_which_op_runs():
  """Whatever was drawn: the op of its turn is the one in the index."""
  guards = guard.Guards(fairness=guard.strict)
  guards.check(MOBILE.choices, relax.GDAS)
  ran = []
  for step in range(12):
    drawn = relax.gdas(_alphas(), 1.0, jax.random.key(step))
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


HARD = {'STRAIGHT_THROUGH', 'REINMAX', 'GDAS', 'BINARY_GATES'}


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
  fixed = space.fix(TINY, space.argmax(TINY, _alphas(of=TINY)))
  dropping = guard.Guards(skip_dropout=lambda step: 0.5)
  with pytest.raises(ValueError, match='requires a choice with a skip'):
    dropping.check(fixed.choices)
  dropping.check(TINY.choices)
