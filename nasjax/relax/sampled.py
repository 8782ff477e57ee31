"""Estimators on sampled ops, so that no other op has to run.

Each returns the index of the sampled ops with the probs. Widths and
downsampling patterns select no op: their probs are one-hot too; ignore their
entries in `index`.
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
  biased for `E f(one-hot)`, even where `f` is linear, for two reasons: the
  outputs of the other ops count as 0, since these ops did not run; and the
  temperature makes `h` steeper or flatter than the distribution. Where `f` is
  linear with slopes `c`, the mean is the gradient of `sum_k c_k E[h_k; k is the
  argmax]` with fixed boundaries between the argmax regions. The options of a
  width do not have to run, so a width has the gradient of a straight-through
  estimator instead.

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

  Cai et al. 2019, ProxylessNAS, section 3.2. With `p = softmax(z)` and `z =
  alphas / temperature` (the paper has temperature 1): two ops are drawn from
  `p`; `q` is the softmax over these two, and one of their gates is drawn from
  `q` and opened. Forward the open gate is 1 and the others are 0; backward,
  `df/dg_j` of the two gates stands for `df/dq_j` (eq. 4, after BinaryConnect).

  After each step, the paper rescales the two alphas so that the probabilities
  of all other ops stay the same. Here this rescaling is part of the gradient:
  to first order, a step along it keeps the sum of `exp(z)` of the two ops. An
  optimizer with momentum, or with a rate for each alpha, changes the other
  probabilities a little. The exact gradient of a cost, which moves every alpha,
  is not rescaled.

  The marginal probability that gate i is open equals `p_i` for two ops, and is
  close to `p_i` for more. Weights sample from `p` exactly (`one_path`).

  The mean of its gradient is biased for `E f(one-hot)`: with `v_a = q_a q_b
  (df/dg_a - df/dg_b)` and `v_b = -v_a` it is `E[v_i - q_a v_a - q_b v_b]` over
  pairs and gates. Where `f` is linear with slopes `c`, its part in alpha `i` is
  the sum over `j` of `p_i p_j (c_i - c_j)`, the true one, times
  `P(the pair i, j) 2 p_j / (p_i + p_j)^3`, over the temperature: of every two
  ops it lowers the alpha of the one with the larger loss. For two ops it is
  exact, up to a number added to both alphas, which does not change `p`.

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
  # Equals `two`; its derivative includes the rescaling that keeps the sum.
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
PATHS = Relaxed(one_path, softmax)
