"""The regression's gradient of the expected loss, held to enumeration."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from benchmarks.truth import oracle, table
from nasjax import constraint, cost, data, derive, guard, relax, search, spaces
from nasjax.search import contributions
from nasjax.search.contributions import Sampling
from nasjax.space import Choice, init_alphas

CHOICES = {'a': Choice(('x', 'y')), 'b': Choice(('u', 'v', 'w'), shape=(2,))}


def _everything(values):
  """All 18 networks of CHOICES, each once, with losses by a function."""
  grid = np.indices((2, 3, 3)).reshape(3, -1).T
  options = {'a': jnp.asarray(grid[:, 0]), 'b': jnp.asarray(grid[:, 1:])}
  losses = jnp.asarray([values(*row) for row in grid], jnp.float32)
  return options, losses


def _judged(probs, options, losses):
  empty = contributions.empty(CHOICES, len(losses))
  log_probs = contributions.log_prob(probs, options)
  return contributions.add(empty, options, losses, log_probs)


def _uniform():
  return relax.softmax(init_alphas(CHOICES))


def _mean_loss(probs, options, losses):
  return (jnp.exp(contributions.log_prob(probs, options)) * losses).sum()


def _centred(g, probs):
  return {n: x - (probs[n] * x).sum(-1, keepdims=True) for n, x in g.items()}


def test_at_uniform_probs_it_is_the_derivative_of_the_mean_loss():
  options, losses = _everything(lambda a, b, c: a + 2 * b - c * a + b * c)
  probs = _uniform()
  found = contributions.effects(_judged(probs, options, losses), probs, 1e-4)
  g = jax.grad(_mean_loss)(probs, options, losses)
  for name, expected in _centred(g, probs).items():
    np.testing.assert_allclose(found.gradient[name], expected, atol=1e-3)
  assert float(found.mean) == pytest.approx(float(losses.mean()), rel=1e-5)
  assert float(found.deviation) == pytest.approx(float(losses.std()), rel=1e-5)


def test_importance_gives_the_derivative_at_other_probs():
  """Of an additive loss, the gradient is the same wherever it is taken."""
  additive = lambda a, b, c: 3 * a + b**2 - 0.5 * c  # noqa: E731
  options, losses = _everything(additive)
  alphas = init_alphas(CHOICES, jax.random.key(0), 0.7)
  probs = relax.softmax(alphas)
  judged = _judged(_uniform(), options, losses)
  found = contributions.effects(judged, probs, 1e-4)
  g = jax.grad(_mean_loss)(probs, options, losses)
  for name, expected in _centred(g, probs).items():
    np.testing.assert_allclose(found.gradient[name], expected, atol=2e-3)
  mean = float(_mean_loss(probs, options, losses))
  assert float(found.mean) == pytest.approx(mean, rel=1e-4)


def test_the_weighted_mean_is_that_of_the_probs():
  options, losses = _everything(lambda a, b, c: a * b * c + b)
  probs = relax.softmax(init_alphas(CHOICES, jax.random.key(1), 0.5))
  found = contributions.effects(
    _judged(_uniform(), options, losses), probs, 1e-4
  )
  mean = float(_mean_loss(probs, options, losses))
  assert float(found.mean) == pytest.approx(mean, rel=1e-4)


def test_the_oldest_networks_are_forgotten_and_places_yet_empty_are_ignored():
  options, losses = _everything(lambda a, b, c: 5.0 + a)
  probs, empty = _uniform(), contributions.empty(CHOICES, 24)
  log_probs = contributions.log_prob(probs, options)
  judged = contributions.add(empty, options, losses, log_probs)
  found = contributions.effects(judged, probs, 1e-4)
  np.testing.assert_allclose(found.gradient['a'], [-0.5, 0.5], atol=1e-3)
  # 18 more: 12 of the old ones are overwritten.
  judged = contributions.add(judged, options, losses + 7, log_probs)
  assert int(judged.count) == 36
  np.testing.assert_array_equal(judged.losses[:12], losses[6:] + 7)
  np.testing.assert_array_equal(judged.losses[12:18], losses[12:])
  np.testing.assert_array_equal(judged.losses[18:], losses[:6] + 7)


def test_a_ridge_shrinks_by_no_more_than_it_says():
  options, losses = _everything(lambda a, b, c: 2.0 * a)
  probs = _uniform()
  judged = _judged(probs, options, losses)
  found = contributions.effects(judged, probs, 3.0)
  kept = float(found.gradient['a'][1] - found.gradient['a'][0]) / 2
  assert 0.5 < kept < 0.999
  assert 1 - kept <= 2 * float(found.shrinkage)


def test_draws_are_as_frequent_as_their_probs():
  probs = relax.softmax(init_alphas(CHOICES, jax.random.key(2), 1.0))
  options, log_probs = contributions.draw(jax.random.key(3), probs, 4000)
  for name, choice in CHOICES.items():
    seen = jax.nn.one_hot(options[name], len(choice)).mean(0)
    np.testing.assert_allclose(seen, probs[name], atol=0.04)
  np.testing.assert_allclose(
    log_probs, contributions.log_prob(probs, options), rtol=1e-6
  )


def test_no_option_falls_below_the_floor():
  probs = {'a': jnp.array([1.0, 0.0]), 'b': jnp.array([[1.0, 0, 0]] * 2)}
  for name, p in contributions.floored(probs, 0.05).items():
    np.testing.assert_allclose(p.min(-1), 0.05, rtol=1e-5)
    np.testing.assert_allclose(p.sum(-1), 1, rtol=1e-6)
    assert (p.argmax(-1) == probs[name].argmax(-1)).all()
  (p,) = contributions.floored({'a': probs['a']}, 0.9).values()
  np.testing.assert_allclose(p, 0.5)


class _Table(nn.Module):
  """A network whose loss is what a table says of it."""

  values: tuple[float, ...]

  @nn.compact
  def __call__(self, images, probs, *, train, index=None):
    del train, index
    self.param('unused', nn.initializers.zeros, ())
    value = oracle.expected(jnp.asarray(self.values), probs)
    return jnp.broadcast_to(value, (len(images), 1))


def _on_the_truth(limits, steps):
  """Scores after searches whose losses are true errors, one for each limit."""
  truth = table.load()
  macs = cost.macs(truth.space)
  images = np.zeros((4, 8, 8, 3), np.uint8)
  arrays = data.Arrays(images, np.zeros(4, np.int32))
  projections = [constraint.keep({macs: x}).projection for x in limits]
  parts = search.make(
    _Table(tuple(100 - truth.accuracy)),
    truth.space.choices,
    data.Batches(4, (0.5,) * 3, (0.3,) * 3),
    [],
    projection=projections[0],
    weight_tx=optax.sgd(0.0),
    alpha_tx=search.adam(0.05),
    relaxation=relax.PATHS,
    form=search.form.whole,
    loss=lambda logits, labels: logits.mean(),
    guards=guard.Guards(entropy=lambda step: jnp.float32(-2.0)),
    sampling=Sampling(per_step=8, memory=400, images=4),
  )
  begun = parts.init(jax.random.key(0), arrays, arrays)
  step = lambda s, _: parts.alpha_step(s, arrays, arrays)  # noqa: E731
  run = jax.jit(functools.partial(jax.lax.scan, step, length=steps))
  for limit, projection in zip(limits, projections, strict=True):
    state, metrics = run(begun._replace(projection=projection.init()), None)
    probs = relax.softmax(state.alphas)
    assert float(macs(probs)) == pytest.approx(limit, rel=1e-3)
    effects = contributions.effects(state.judged, probs, 1.0)
    yield {n: -g for n, g in effects.gradient.items()}, metrics


def test_on_true_losses_a_search_beats_alphas_that_learnt_nothing():
  truth = table.load()
  macs, regrets, control = cost.macs(truth.space), [], []
  limits = [truth.quantile(q) for q in (0.25, 0.5, 0.75)]
  searched = _on_the_truth(limits, steps=50)
  for limit, (scores, metrics) in zip(limits, searched, strict=True):
    assert metrics['valid_loss'].shape == (50,)
    assert metrics['ridge_shrinkage'][-1] < 0.05
    for alphas, found in (
      (scores, regrets),
      (init_alphas(truth.space, jax.random.key(7), 1.0), control),
    ):
      a = derive.within(truth.space, alphas, {macs: limit}, fill=0.9)
      found.append(truth.regret(truth.row(a), {'macs': limit}))
  # Additive scores fitted to the truth leave 0.25 on average.
  assert max(regrets) < 0.6 < np.mean(control)
  assert np.mean(regrets) < np.mean(control) - 0.5


@pytest.fixture(scope='module')
def tiny():
  """A search on `tiny_width`, compiled; what each function is called with."""
  s = spaces.tiny_width(num_classes=4)
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (20, 8, 8, 1), np.uint8)
  arrays = data.Arrays(images, np.arange(20, dtype=np.int32) % 4)
  macs = cost.macs(s)
  parts = search.make(
    s.search_network(),
    s.choices,
    data.Batches(10, (0.5,), (0.3,)),
    [],
    projection=constraint.keep({macs: sum(macs.bounds()) / 2}).projection,
    weight_tx=optax.sgd(0.05, momentum=0.9),
    alpha_tx=search.adam(0.05),
    relaxation=relax.PATHS,
    sampling=Sampling(per_step=3, memory=30, images=16),
  )
  state = jax.jit(parts.init)(jax.random.key(0), arrays, arrays)
  state, _ = jax.jit(parts.weight_step)(state, arrays)
  return s, parts, state, arrays


@pytest.mark.slow
def test_an_alpha_step_moves_alphas_and_remembers_what_it_judged(tiny):
  _, parts, state, arrays = tiny
  after, _ = jax.jit(parts.alpha_step)(state, arrays, arrays)
  changed = {
    name
    for name in state._fields
    if any(
      (np.asarray(a) != np.asarray(b)).any()
      for a, b in zip(
        *(
          map(
            lambda x: (
              jax.random.key_data(x)
              if jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
              else x
            ),
            jax.tree.leaves(getattr(s, name)),
          )
          for s in (state, after)
        ),
        strict=True,
      )
    )
  }
  assert changed == {
    'key',
    'alphas',
    'alpha_opt_state',
    'projection',
    'judged',
  }
  assert int(after.judged.count) == 3


@pytest.mark.slow
def test_a_network_is_judged_as_if_it_were_alone(tiny):
  s, parts, state, arrays = tiny
  rng = np.random.default_rng(1)
  networks = [
    [int(rng.integers(len(c))) for c in s.choices.values()] for _ in range(3)
  ]
  options = {
    name: jnp.asarray([row[i] for row in networks])
    for i, name in enumerate(s.choices)
  }
  losses = jax.jit(parts.losses)(state, arrays, options)
  params = parts.params(state, arrays.images)
  net = s.search_network()
  images = data.normalise(arrays.images[:16], (0.5,), (0.3,))

  @jax.jit
  def logits_of(params, probs):
    stats = net.init(jax.random.key(0), images, probs, train=False)
    variables = {**stats, 'params': params}
    logits, _ = net.apply(
      variables, images, probs, train=True, mutable=['batch_stats']
    )
    return logits

  for row, loss in zip(networks, losses, strict=True):
    probs = {
      name: jax.nn.one_hot(i, len(s.choices[name]))
      for name, i in zip(s.choices, row, strict=True)
    }
    alone = search.cross_entropy(logits_of(params, probs), arrays.labels[:16])
    assert float(loss) == pytest.approx(float(alone), rel=1e-4)


@pytest.mark.parametrize(
  ('sampling', 'says'),
  [
    (Sampling(memory=8), 'memory is 8; .* 16 free options'),
    (Sampling(per_step=0), 'per_step is 0'),
    (Sampling(per_step=900), 'per_step is 900'),
    (Sampling(images=0), 'images >= 1'),
    (Sampling(ridge=0.0), 'ridge > 0'),
    (Sampling(floor=0.0), 'floor is 0'),
  ],
)
def test_numbers_that_cannot_work_are_refused(sampling, says):
  s = spaces.nasbench_macro()
  with pytest.raises(ValueError, match=says):
    search.make(
      s.search_network(),
      s.choices,
      data.Batches(2, (0.5,) * 3, (0.3,) * 3),
      [],
      weight_tx=optax.sgd(0.1),
      alpha_tx=optax.sgd(0.1),
      relaxation=relax.PATHS,
      sampling=sampling,
    )


def test_an_option_that_no_network_had_counts_as_the_mean_one():
  """Not as the best or the worst one, and nothing is undefined."""
  choices = {'a': Choice(('x', 'y', 'z')), 'b': Choice(('u', 'v'))}
  rng = np.random.default_rng(0)
  options = {'a': rng.integers(0, 2, 200), 'b': rng.integers(0, 2, 200)}
  losses = 3.0 * options['a'] + options['b']
  judged = contributions.add(
    contributions.empty(choices, 200),
    {name: jnp.asarray(o) for name, o in options.items()},
    jnp.asarray(losses, jnp.float32),
    jnp.zeros(200),
  )
  probs = {'a': jnp.ones(3) / 3, 'b': jnp.ones(2) / 2}
  x, y, z = contributions.effects(judged, probs).gradient['a'].tolist()
  assert y - x == pytest.approx(3, abs=0.1)
  assert z == pytest.approx((x + y) / 2, abs=0.05)
