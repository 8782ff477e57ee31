"""Estimators on sampled ops, so that no other op has to run.

Each returns the index of the ops with the probs. Of a choice that no op comes
from, a width or a pattern, the probs are hard as well; its index says nothing.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from nasjax.relax.base import (
  Relaxed,
  Sampled,
  Tree,
  fold,
  gumbel,
  heated,
  one_hot,
  slope,
)
from nasjax.relax.soft import probabilities, softmax


def gdas(alphas: Tree, temperature: ArrayLike, key: jax.Array) -> Sampled:
  """The argmax `k` of the Gumbel softmax `h`; only op `k` runs.

  Dong and Yang 2019, GDAS, eq. 3 and 4. The weight of the op is
  `1 + h[k] - stop_gradient(h[k])`: forward one-hot, backward that of `h[k]`.

  The mean of its gradient is `E[df/dp_k(one-hot k) dh_k/dalphas]`. That is
  biased for `E f(one-hot)`, even where `f` is linear, in two ways: the other
  ops' outputs, as they did not run, count as 0, and `h` is steeper or flatter
  than the distribution, by the temperature. Where `f` is linear with slopes `c`
  it is that of `sum_k c_k E[h_k; k is the argmax]`, the boundaries between the
  argmax regions held fixed. A width, whose options need not run to be known,
  has the gradient of a straight-through estimator instead.

  Args:
    alphas: choice to `f32[..., options]`.
    temperature: positive; of `h` alone. The distribution is `softmax(alphas)`.
    key: PRNG key, consumed.

  Returns:
    Probs, choice to `f32[..., options]`, one-hot on the last axis, and index,
    choice to `i32[..., 1]`.

  Raises:
    ValueError: the temperature is known, and not positive.

  Example:
    >>> alphas = {'slot': jnp.array([0.0, 99.0, 0.0])}
    >>> probs, index = gdas(alphas, 1.0, jax.random.key(0))
    >>> probs['slot'].tolist(), index['slot'].tolist()
    ([0.0, 1.0, 0.0], [1])
  """
  noisy = {n: a + gumbel(fold(key, n), a) for n, a in alphas.items()}
  return _each(_hardest, heated(noisy, temperature))


def _hardest(name: str, z: jax.Array) -> tuple[jax.Array, jax.Array]:
  k = jnp.argmax(z, -1)
  return one_hot(k, z) + slope(jax.nn.softmax(z), z), k[..., None]


def one_path(alphas: Tree, temperature: ArrayLike, key: jax.Array) -> Sampled:
  """A one-hot sample of `softmax(alphas / temperature)`, and no gradient.

  Weights are trained with it where alphas learn by `binary_gates` (Cai et al.
  2019, ProxylessNAS, section 3.2).

  Args:
    alphas: choice to `f32[..., options]`.
    temperature: positive.
    key: PRNG key, consumed.

  Returns:
    Probs, choice to `f32[..., options]`, one-hot on the last axis, and index,
    choice to `i32[..., 1]`.

  Raises:
    ValueError: the temperature is known, and not positive.

  Example:
    >>> alphas = {'slot': jnp.array([0.0, 99.0, 0.0])}
    >>> probs, index = one_path(alphas, 1.0, jax.random.key(0))
    >>> probs['slot'].tolist(), index['slot'].tolist()
    ([0.0, 1.0, 0.0], [1])
  """

  def each(name, z):
    k = jnp.argmax(z + gumbel(fold(key, name), z), -1)
    return one_hot(k, z), k[..., None]

  return _each(each, heated(alphas, temperature))


def binary_gates(
  alphas: Tree, temperature: ArrayLike, key: jax.Array
) -> Sampled:
  """Two ops, drawn without replacement; one of their gates is open.

  Cai et al. 2019, ProxylessNAS, section 3.2. With `p = softmax(z)`, `z = alphas
  / temperature` (in the paper 1): two ops are drawn by `p`, the others taken
  for nonexistent; `q` is the softmax of the two, and by `q` one gate is opened.
  Forward the open gate is 1 and the others 0; backward, `df/dg_j` of the two
  gates stands for `df/dq_j` (eq. 4, after BinaryConnect).

  The paper then shifts both alphas so that no other op's probability changes.
  Here the shift is part of the gradient: what it adds to both is such that the
  sum of `exp(z)` of the two stays, to first order in a step along the gradient.
  (An optimizer that remembers, or scales each alpha by itself, takes another
  step: with it other ops' probabilities change a little.)
  So the exact gradient of a cost, which moves every alpha, is not shifted away.

  A gate is open with the sum of `P(pair) q` over its op's pairs. In a slot of
  two ops that is `p`, else it is near it; by `p`, the distribution, `one_path`
  draws.

  The mean of its gradient is biased for `E f(one-hot)`: with `v_a = q_a q_b
  (df/dg_a - df/dg_b)` and `v_b = -v_a` it is `E[v_i - q_a v_a - q_b v_b]` over
  pairs and gates. Where `f` is linear with slopes `c`, its part in alpha `i` is
  the sum over `j` of `p_i p_j (c_i - c_j)`, the true one, times
  `P(the pair i, j) 2 p_j / (p_i + p_j)^3`, over the temperature: of every two
  ops it lowers the costlier against the other. In a slot of two ops it is then
  exact, but for what it adds to both, which the distribution does not see.

  Args:
    alphas: choice to `f32[..., options]`, with at least two ops.
    temperature: positive; of the distribution as well.
    key: PRNG key, consumed.

  Returns:
    Probs, choice to `f32[..., options]`, one-hot on the last axis, and index,
    choice to `i32[..., 2]`, the open gate first.

  Raises:
    ValueError: the temperature is known, and not positive, or a slot has
      fewer than two ops.

  Example:
    >>> alphas = {'slot': jnp.array([0.0, 9.0, 9.0, 0.0])}
    >>> probs, index = binary_gates(alphas, 1.0, jax.random.key(0))
    >>> probs['slot'].tolist(), index['slot'].tolist()
    ([0.0, 1.0, 0.0, 0.0], [1, 2])
  """
  hot = heated(alphas, temperature)
  return _each(lambda n, z: _gates(n, z, fold(key, n)), hot)


def _gates(
  name: str, z: jax.Array, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
  if z.shape[-1] < 2:
    raise ValueError(f'binary_gates requires two ops or more in slot {name!r}.')
  for_pair, for_gate = jax.random.split(key)
  _, pair = jax.lax.top_k(z + gumbel(for_pair, z), 2)
  two = jnp.take_along_axis(z, pair, -1)
  q = jax.nn.softmax(two)
  # In place of `two`, the same value less the shift that keeps the sum.
  moved = (two - jax.lax.stop_gradient(two)).sum(-1, keepdims=True)
  held = two - jax.lax.stop_gradient(q) * moved
  opened = jnp.argmax(two + gumbel(for_gate, two), -1)
  gates = one_hot(opened, two) + slope(q, held)
  probs = (gates[..., None] * one_hot(pair, z)).sum(-2)
  return probs, jnp.where(opened[..., None] == 0, pair, pair[..., ::-1])


def _each(drawn, logits: dict[str, jax.Array]) -> Sampled:
  """Draws slot by slot."""
  found = {name: drawn(name, z) for name, z in logits.items()}
  return Sampled(
    {name: probs for name, (probs, _) in found.items()},
    {name: index for name, (_, index) in found.items()},
  )


GDAS = Relaxed(gdas, probabilities)
BINARY_GATES = Relaxed(binary_gates, softmax, weight_probs=one_path)
