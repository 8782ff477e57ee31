"""Fairness: weights are trained equally, whatever the alphas.

In a mixture an op's weights get the gradient times its probability: what leads
is trained more, and so leads by more. Fairness replaces the probabilities in
the weights' steps alone; alphas are still judged by their own, and learn from
ops that had the same chance. FairDARTS (Chu et al. 2020) is unfairness of
another kind: it makes options independent of each other (sigmoids with a loss
that draws them to 0 or 1), where here exactly one is to be derived; on
probabilities that sum to 1 its loss would only be another entropy.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from nasjax.relax.base import fold
from nasjax.space import Alphas

# `(probs, step) -> probs`; looks at nothing of probs but shapes and dtypes.
Fairness = Callable[[Alphas, jax.Array], Alphas]


def uniform(probs: Alphas, step: jax.Array) -> Alphas:
  """The same probability for every option: fair in every step, and mixed.

  Chu et al. 2021, FairNAS, have one option drawn with these and call it fair in
  expectation; here all are trained at once.

  Example:
    >>> uniform({'a': jnp.array([0.7, 0.3])}, 0)['a'].tolist()
    [0.5, 0.5]
  """
  del step
  return {k: jnp.full_like(p, 1 / p.shape[-1]) for k, p in probs.items()}


def strict(probs: Alphas, step: jax.Array, seed: int = 0) -> Alphas:
  """One option a step; in as many steps as there are options, each once.

  After any number of steps no option of a choice has been trained more than
  once more than another (Chu et al. 2021, FairNAS, strict fairness). They add
  up the gradients of a round before the weights move; here each moves them. The
  order within a round is drawn for every round and choice.

  Args:
    probs: choice to `f32[..., options]`.
    step: weight steps done, `i32[]`: the only state, so a resumed search goes
      on in the same round.
    seed: of the orders.

  Returns:
    One-hot probs, without a gradient.

  Example:
    >>> probs = {'a': jnp.array([0.98, 0.01, 0.01])}
    >>> sum(strict(probs, step)['a'] for step in range(6)).tolist()
    [2.0, 2.0, 2.0]
  """
  key = jax.random.key(seed)
  chosen = {}
  for name, p in probs.items():
    options = p.shape[-1]
    # By name: the order in a choice does not depend on which others there are.
    own = fold(key, name)
    own = jax.random.fold_in(own, step // options)
    places = jnp.broadcast_to(jnp.arange(options, dtype=jnp.int32), p.shape)
    order = jax.random.permutation(own, places, axis=-1, independent=True)
    turn = jnp.take(order, step % options, axis=-1)
    chosen[name] = jax.nn.one_hot(turn, options, dtype=p.dtype)
  return chosen
