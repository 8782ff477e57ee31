"""Hypergradients: how the validation loss changes with the alphas.

Alphas a lower V(a, w) on one half of the data; the weights w lower L(a, w) on
the other half. Hypergradient: first-order (`first`, the weights are constant),
second-order (`second`, through one optimizer step) or implicit (`implicit`, at
convergence). All three are estimators of one form, for any two losses. With a
loss `(alphas, params, batch) -> (value, aux)`, where a batch is any pytree of
data (images, statistics, keys),

    estimate = second(train_loss, valid_loss, tx)
    gradient, aux = estimate(alphas, params, opt_state, train, valid)

returns a gradient with the structure of `alphas`, for descent, and the `aux` of
`valid_loss`. The `aux` of `train_loss` is dropped. Running statistics that a
loss gets in its batch and returns in `aux` are the caller's to keep or to drop.

`nasjax.search.make` takes a `Hypergradient`, a function of the two losses that
returns an estimator: `first`, `functools.partial(second, tx=tx)`, or
`implicit_with(terms=3, rate=0.01)`.
"""

from collections.abc import Callable
from typing import Any, Protocol

import jax
import optax

Tree = Any
Loss = Callable[[Tree, Tree, Tree], tuple[jax.Array, Any]]


class Estimator(Protocol):
  """`(alphas, params, opt_state, train, valid) -> (gradient, aux)`."""

  def __call__(
    self, alphas: Tree, params: Tree, opt_state: Tree, train: Tree, valid: Tree
  ) -> tuple[Tree, Any]: ...


# `(train_loss, valid_loss) -> estimator`.
Hypergradient = Callable[[Loss, Loss], Estimator]


def first(train_loss: Loss, valid_loss: Loss) -> Estimator:
  """`dV(a, w) / da`: the weights are held.

  Liu et al. 2019, DARTS, section 2.3, with xi = 0.

  Args:
    train_loss: not used; here so that all estimators are made alike.
    valid_loss: V.

  Returns:
    An estimator that looks neither at `opt_state` nor at `train`.

  Example:
    >>> L, V = lambda a, w, x: ((w - a) ** 2, ()), lambda a, w, x: (w * x, w)
    >>> estimate = first(L, V)
    >>> gradient, w = estimate(1.0, 3.0, (), (), 2.0)
    >>> float(gradient), float(w)
    (0.0, 3.0)
  """
  del train_loss

  def estimate(alphas, params, opt_state, train, valid):
    del opt_state, train
    return jax.grad(valid_loss, has_aux=True)(alphas, params, valid)

  return estimate


def second(
  train_loss: Loss,
  valid_loss: Loss,
  tx: optax.GradientTransformation,
) -> Estimator:
  """`dV(a, w'(a)) / da`, with w' one step of the weights' optimizer ahead.

  With `w'(a) = w + tx.update(dL(a, w) / dw, opt_state, w)` it is

      dV/da (a, w') + dw'/da^T dV/dw (a, w'),

  which for SGD of rate xi is Liu et al. 2019, DARTS, eq. 7: the second term is
  `-xi (d2L / da dw) dV/dw (a, w')`, minus because the step goes down. They take
  it by finite differences (eq. 8); this is exact
  for any `tx`, by differentiating through its update.

  Args:
    train_loss: L.
    valid_loss: V; its `aux` is that at w'.
    tx: the weights' optimizer. Its update has to have a derivative: Adam's has
      none in a weight whose gradients were all 0, unless `eps_root` > 0.

  Returns:
    An estimator; `opt_state` is the state of `tx` and stays as it is.

  Example:
    >>> L, V = lambda a, w, x: ((w - a) ** 2, ()), lambda a, w, x: (w * x, w)
    >>> tx = optax.sgd(0.1)  # To w' = w - 0.1 * 2 (w - a).
    >>> estimate = second(L, V, tx)
    >>> gradient, w = estimate(1.0, 3.0, tx.init(3.0), (), 2.0)
    >>> [round(float(x), 4) for x in (gradient, w)]
    [0.4, 2.6]
  """

  def unrolled(alphas, params, opt_state, train, valid):
    slope = jax.grad(train_loss, argnums=1, has_aux=True)
    g, _ = slope(alphas, params, train)
    updates, _ = tx.update(g, opt_state, params)
    return valid_loss(alphas, optax.apply_updates(params, updates), valid)

  return jax.grad(unrolled, has_aux=True)


def implicit(
  train_loss: Loss, valid_loss: Loss, *, terms: int, rate: float
) -> Estimator:
  """`dV/da` where the weights have arrived: by the implicit function theorem.

  Where `dL/dw = 0` the weights follow alphas by `-H^-1 d2L/dw da`, with H =
  `d2L/dw2`. The inverse is replaced by the first terms of its Neumann series,

      dV/da - (d2L / da dw) p,    p = rate sum_k (I - rate H)^k dV/dw,

  k from 0 to `terms - 1` (Lorraine et al. 2020, theorem 1, algorithms 2 and 3).
  The minus is that of the theorem. One term is `second` with SGD of that rate,
  but with both derivatives of V at w instead of w'.

  Args:
    train_loss: L, with every regulariser that the weights are under.
    valid_loss: V.
    terms: of the series, at least 1; each but the first costs a product with H.
    rate: positive. The series converges where all eigenvalues of H are between
      0 and `2 / rate`; with a few terms others do no harm.

  Returns:
    An estimator that does not look at `opt_state`.

  Raises:
    ValueError: `terms` or `rate` is out of its range.

  Example:
    >>> L, V = lambda a, w, x: ((w - a) ** 2, ()), lambda a, w, x: (w * x, w)
    >>> for terms in (1, 2, 50):  # To 2, because w follows a at the same pace.
    ...   estimate = implicit(L, V, terms=terms, rate=0.1)
    ...   print(round(float(estimate(1.0, 3.0, (), (), 2.0)[0]), 4))
    0.4
    0.72
    2.0
  """
  _check_series(terms, rate)

  def estimate(alphas, params, opt_state, train, valid):
    del opt_state

    def slopes(params):
      g = jax.grad(train_loss, argnums=(0, 1), has_aux=True)
      return g(alphas, params, train)[0]

    # The derivative of both slopes along a direction in the weights: it is
    # linear, and what it needs of the network is computed once for all terms.
    _, along = jax.linearize(slopes, params)

    def add(_, carry):
      term, total = carry
      _, curved = along(term)
      term = jax.tree.map(lambda v, h: v - rate * h, term, curved)
      return term, jax.tree.map(lambda p, v: p + v, total, term)

    slope = jax.grad(valid_loss, argnums=(0, 1), has_aux=True)
    (direct, v), aux = slope(alphas, params, valid)
    _, total = jax.lax.fori_loop(1, terms, add, (v, v))
    mixed, _ = along(total)
    return jax.tree.map(lambda d, m: d - rate * m, direct, mixed), aux

  return estimate


def implicit_with(
  *,
  terms: int = 3,
  rate: float = 0.01,
  regulariser: Callable[[Tree], jax.Array] | None = None,
) -> Hypergradient:
  """`implicit` with its numbers, as `nasjax.search.make` takes it.

  Args:
    terms: of the Neumann series, at least 1.
    rate: positive, see `implicit`.
    regulariser: `params -> f32[]`, the loss whose gradient the weights'
      optimizer adds by itself, such as weight decay. The series needs the
      curvature of both losses.

  Raises:
    ValueError: `terms` or `rate` is out of its range.

  Example:
    >>> L, V = lambda a, w, x: ((w - a) ** 2, ()), lambda a, w, x: (w * x, w)
    >>> estimate = implicit_with(terms=2, rate=0.1)(L, V)
    >>> print(round(float(estimate(1.0, 3.0, (), (), 2.0)[0]), 4))
    0.72
  """
  _check_series(terms, rate)

  def estimator(train_loss, valid_loss):
    if regulariser is None:
      return implicit(train_loss, valid_loss, terms=terms, rate=rate)

    def regularised(alphas, params, batch):
      value, aux = train_loss(alphas, params, batch)
      return value + regulariser(params), aux

    return implicit(regularised, valid_loss, terms=terms, rate=rate)

  return estimator


def _check_series(terms: int, rate: float) -> None:
  if not terms >= 1 or not rate > 0:
    raise ValueError(
      f'implicit requires terms >= 1 and rate > 0, got {terms=}, {rate=}.'
    )
