"""Alphas: for every choice, a number for each of its options."""

import jax
import jax.numpy as jnp

from nasjax.space.chain import Space

Alphas = dict[str, jax.Array]


def init_alphas(
  space: Space, key: jax.Array | None = None, scale: float = 1e-3
) -> Alphas:
  """Logits of the choices at the start: equal, or almost so.

  Args:
    space: the search space.
    key: PRNG key for normal noise that breaks ties (Liu et al. 2019, DARTS,
      draws 1e-3); None gives zeros. The key is consumed.
    scale: standard deviation of the noise.

  Returns:
    A dict from slot or width name to `f32[options]`.
  """
  alphas = {}
  for i, (slot, names) in enumerate(space.choices.items()):
    alphas[slot] = jnp.zeros(len(names))
    if key is not None:
      noise = jax.random.normal(jax.random.fold_in(key, i), (len(names),))
      alphas[slot] = scale * noise
  return alphas
