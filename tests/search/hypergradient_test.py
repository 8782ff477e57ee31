"""Hypergradients: closed forms, central differences, and wrong ones told."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nasjax.search import hypergradient

# Inner: w'Aw / 2 - w'Ba. Outer: |w - c|^2 / 2 + d |a|^2 / 2.
N, M, D, ETA = 5, 3, 0.3, 0.05


def _problem(seed=0):
  """A, B, c and a point a, w; in the precision that is on."""
  rng = np.random.default_rng(seed)
  half = rng.normal(size=(N, N))
  A = half @ half.T / N + 0.5 * np.eye(N)
  B, c, a, w = (rng.normal(size=s) for s in ((N, M), (N,), (M,), (N,)))
  return tuple(map(jnp.asarray, (A, B, c, a, w)))


def _quadratic(a, w, batch):
  A, B = batch
  return w @ A @ w / 2 - w @ B @ a, 'train'


def _distance(a, w, c):
  return ((w - c) ** 2).sum() / 2 + D * (a**2).sum() / 2, w


# Not quadratic: third derivatives tell w from w' and one Hessian from another.


def _curved(a, w, batch):
  _, B = batch
  more = 0.05 * w**4 + 0.2 * w**2 * (1 + jnp.sin(B @ a))  # Convex in w.
  return _quadratic(a, w, batch)[0] + more.sum(), 'train'


def _bent(a, w, c):
  return jnp.log(jnp.cosh(w - c)).sum() + w @ w * (a**2).sum() + a[0] ** 3, w


def _slope(loss, a, w, batch):
  return jax.grad(lambda w: loss(a, w, batch)[0])(w)


def _adam_like():
  return optax.chain(
    optax.add_decayed_weights(1e-2), optax.adam(ETA, b1=0.5, b2=0.9)
  )


OPTIMIZERS = {
  'sgd': lambda: optax.sgd(ETA),
  'momentum': lambda: optax.sgd(ETA, momentum=0.9),
  'nesterov': lambda: optax.sgd(ETA, momentum=0.9, nesterov=True),
  'adam': _adam_like,
}


def _warm(tx, w, seed=1):
  """The optimizer's state after some gradients: no part of it is 0."""
  state = tx.init(w)
  for g in np.random.default_rng(seed).normal(size=(3, N)):
    _, state = tx.update(jnp.asarray(g), state, w)
  return state


def _differences(f, a, h=1e-5):
  moved = h * jnp.eye(len(a), dtype=a.dtype)
  return jnp.stack([(f(a + m) - f(a - m)) / (2 * h) for m in moved])


def _ahead(tx, state, a, w, train, loss=_curved):
  updates, _ = tx.update(_slope(loss, a, w, train), state, w)
  return optax.apply_updates(w, updates)


# --- Known hypergradients ----------------------------------------------------


def test_first_holds_the_weights(x64):
  A, B, c, a, w = _problem()
  gradient, aux = hypergradient.first(_quadratic, _distance)(
    a, w, (), (A, B), c
  )
  np.testing.assert_allclose(gradient, D * a, rtol=1e-12)
  np.testing.assert_array_equal(aux, w)


@pytest.mark.parametrize(
  ('name', 'pull'), [('sgd', 1), ('momentum', 1), ('nesterov', 1.9)]
)
def test_second_on_a_quadratic_is_its_closed_form(x64, name, pull):
  """dw'/da is rate times B, and 1 + momentum times that with Nesterov's."""
  A, B, c, a, w = _problem()
  tx = OPTIMIZERS[name]()
  state = _warm(tx, w)
  estimate = jax.jit(hypergradient.second(_quadratic, _distance, tx))
  gradient, aux = estimate(a, w, state, (A, B), c)
  ahead = _ahead(tx, state, a, w, (A, B), _quadratic)
  wanted = D * a + pull * ETA * B.T @ (ahead - c)
  np.testing.assert_allclose(gradient, wanted, rtol=1e-12)
  np.testing.assert_allclose(aux, ahead, rtol=1e-12)
  if name == 'momentum':  # The state is data, and counts.
    cold, _ = estimate(a, w, tx.init(w), (A, B), c)
    assert float(jnp.abs(cold - gradient).max()) > 1e-3


@pytest.mark.parametrize('terms', [1, 2, 3, 7])
def test_implicit_is_the_truncated_series(x64, terms):
  A, B, c, a, w = _problem()
  estimate = hypergradient.implicit(
    _quadratic, _distance, terms=terms, rate=ETA
  )
  gradient, aux = jax.jit(estimate)(a, w, (), (A, B), c)
  power, total = jnp.eye(N), jnp.zeros((N, N))
  for _ in range(terms):
    total, power = total + ETA * power, power @ (jnp.eye(N) - ETA * A)
  wanted = D * a + B.T @ total @ (w - c)
  np.testing.assert_allclose(gradient, wanted, rtol=1e-12)
  np.testing.assert_array_equal(aux, w)


def test_implicit_with_many_terms_is_exact(x64):
  """Where w is the minimiser it is the gradient of V(a, A^-1 B a)."""
  A, B, c, a, _ = _problem()
  best = lambda a: jnp.linalg.solve(A, B @ a)  # noqa: E731
  wanted = jax.grad(lambda a: _distance(a, best(a), c)[0])(a)
  estimate = hypergradient.implicit(_quadratic, _distance, terms=2000, rate=0.2)
  gradient, _ = jax.jit(estimate)(a, best(a), (), (A, B), c)
  np.testing.assert_allclose(gradient, wanted, rtol=1e-10)


def test_orders_agree_where_they_have_to(x64):
  """One term is a step of SGD if V is linear in w; rate 0 is first order."""
  A, B, c, a, w = _problem()
  linear = lambda a, w, c: (w @ c + (a**4).sum(), ())  # noqa: E731
  args = a, w, optax.sgd(ETA).init(w), (A, B), c
  step = hypergradient.second(_curved, linear, optax.sgd(ETA))(*args)[0]
  term = hypergradient.implicit(_curved, linear, terms=1, rate=ETA)(*args)[0]
  np.testing.assert_allclose(step, term, rtol=1e-12)
  still = hypergradient.second(_curved, _bent, optax.sgd(0.0))(*args)[0]
  held = hypergradient.first(_curved, _bent)(*args)[0]
  np.testing.assert_allclose(still, held, rtol=1e-12)


# --- Central differences -----------------------------------------------------


def test_first_is_that_of_differences(x64):
  A, B, c, a, w = _problem()
  gradient, _ = hypergradient.first(_curved, _bent)(a, w, (), (A, B), c)
  wanted = _differences(lambda a: _bent(a, w, c)[0], a)
  np.testing.assert_allclose(gradient, wanted, rtol=1e-8)


def _check_second(make, name):
  """Holds an estimator to differences of V(a, w'(a))."""
  A, B, c, a, w = _problem()
  tx = OPTIMIZERS[name]()
  state = _warm(tx, w)
  estimate = make(_curved, _bent, tx)
  gradient, _ = jax.jit(estimate)(a, w, state, (A, B), c)
  ahead = functools.partial(_ahead, tx, state, w=w, train=(A, B))
  wanted = _differences(lambda a: _bent(a, ahead(a), c)[0], a)
  np.testing.assert_allclose(gradient, wanted, rtol=1e-7)


@pytest.mark.parametrize('name', OPTIMIZERS)
def test_second_is_that_of_differences(x64, name):
  _check_second(hypergradient.second, name)


def _scaled(factor, train_loss, valid_loss, tx):
  """Second order whose second term is multiplied by `factor`."""

  def estimate(a, w, state, train, valid):
    ahead = _ahead(tx, state, a, w, train, train_loss)
    direct, aux = jax.grad(valid_loss, has_aux=True)(a, ahead, valid)
    whole, _ = hypergradient.second(train_loss, valid_loss, tx)(
      a, w, state, train, valid
    )
    return direct + factor * (whole - direct), aux

  return estimate


def _at_the_old_weights(train_loss, valid_loss, tx):
  """DARTS' formula with w where it has w'."""
  del tx
  return hypergradient.implicit(train_loss, valid_loss, terms=1, rate=ETA)


def _without_the_state(train_loss, valid_loss, tx):
  exact = hypergradient.second(train_loss, valid_loss, tx)
  return lambda a, w, state, train, valid: exact(a, w, tx.init(w), train, valid)


WRONG = {
  'sign': functools.partial(_scaled, -1.0),
  'half': functools.partial(_scaled, 0.5),
  'twice': functools.partial(_scaled, 2.0),
  'a percent': functools.partial(_scaled, 1.01),
  'none': functools.partial(_scaled, 0.0),
  'old weights': _at_the_old_weights,
  'no state': _without_the_state,
}


@pytest.mark.parametrize('mistake', WRONG)
def test_a_wrong_second_order_is_caught(x64, mistake):
  with pytest.raises(AssertionError, match='Not equal to tolerance'):
    _check_second(WRONG[mistake], 'momentum')


def test_the_mistakes_are_made_from_what_passes(x64):
  _check_second(functools.partial(_scaled, 1.0), 'momentum')


def _check_implicit(sign=1.0, terms=4):
  """At the weights' optimum, `terms` steps of SGD have this derivative.

  Lorraine et al. 2020, theorem 2: the series is what unrolling gives there.
  """
  A, B, c, a, w = _problem()
  train = A, B
  for _ in range(30):  # Newton's method.
    hessian = jax.hessian(lambda w: _curved(a, w, train)[0])(w)
    w = w - jnp.linalg.solve(hessian, _slope(_curved, a, w, train))
  assert float(jnp.abs(_slope(_curved, a, w, train)).max()) < 1e-12

  def unrolled(a):
    moved = w
    for _ in range(terms):
      moved = moved - ETA * _slope(_curved, a, moved, train)
    return _bent(a, moved, c)[0]

  estimate = hypergradient.implicit(_curved, _bent, terms=terms, rate=ETA)
  held = hypergradient.first(_curved, _bent)
  args = a, w, (), train, c
  direct = held(*args)[0]
  gradient = direct + sign * (jax.jit(estimate)(*args)[0] - direct)
  np.testing.assert_allclose(gradient, _differences(unrolled, a), rtol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize('terms', [1, 4])
def test_implicit_is_unrolling_at_the_optimum(x64, terms):
  _check_implicit(terms=terms)


@pytest.mark.quick_every(3)
@pytest.mark.parametrize('factor', [-1.0, 0.0, 1.01])
def test_a_wrong_implicit_is_caught(x64, factor):
  with pytest.raises(AssertionError, match='Not equal to tolerance'):
    _check_implicit(factor)


# --- The interface -----------------------------------------------------------


def test_trees_go_in_and_a_gradient_like_alphas_comes_out():
  alphas = {'a': jnp.ones(2), 'b': jnp.ones((2, 3))}
  params = {'dense': {'kernel': jnp.ones(2)}}

  def train_loss(alphas, params, x):
    kernel = params['dense']['kernel']
    return (alphas['a'] * kernel**2 * x).sum() + (alphas['b'] ** 2).sum(), ()

  def valid_loss(alphas, params, x):
    loss, _ = train_loss(alphas, params, x)
    return loss, {'stats': 2 * x}

  tx = optax.adam(0.1, eps_root=1e-8)
  for estimate in (
    hypergradient.first(train_loss, valid_loss),
    hypergradient.second(train_loss, valid_loss, tx),
    hypergradient.implicit(train_loss, valid_loss, terms=3, rate=0.1),
  ):
    gradient, aux = jax.jit(estimate)(alphas, params, tx.init(params), 1.0, 3.0)
    assert jax.tree.map(jnp.shape, gradient) == {'a': (2,), 'b': (2, 3)}
    assert all(bool(jnp.isfinite(g).all()) for g in gradient.values())
    assert float(aux['stats']) == 6.0


@pytest.mark.parametrize('bad', [{'terms': 0}, {'rate': 0.0}, {'rate': -1.0}])
def test_a_series_that_is_none_is_refused(bad):
  (name,) = bad
  with pytest.raises(ValueError, match=f'{name}={bad[name]}'):
    hypergradient.implicit(_curved, _bent, **{'terms': 3, 'rate': 0.1, **bad})
