"""Skips steps whose result is not finite."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

# What goes on in a state even where a step is left out: the next step draws
# another batch with another key.
_GOES_ON = ('step', 'key', 'train', 'valid')


def all_finite(tree: Any) -> jax.Array:
  """Whether every floating-point number of a pytree is finite, `bool[]`.

  Example:
    >>> bool(all_finite({'a': jnp.ones(3), 'n': jnp.arange(2)}))
    True
    >>> bool(all_finite([jnp.array([1.0, jnp.nan])]))
    False
  """
  leaves = [
    jnp.isfinite(leaf).all()
    for leaf in jax.tree.leaves(tree)
    if jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)
  ]
  return jnp.stack(leaves).all() if leaves else jnp.bool_(True)


def skipping(step: Callable[..., Any], counter: str) -> Callable[..., Any]:
  """Skips a step whose new state would not be finite.

  Weights, statistics, alphas and what optimizers and constraints keep of them
  stay as they were (as with `optax.apply_if_finite`, which knows of the
  updates alone, not of running statistics); the key and the position in the
  images move on, so that the next step sees another batch.

  Args:
    step: `(state, ...) -> (state, metrics)`; the state is a NamedTuple with
      `skipped`, a dict of `i32[]` with the key `counter`.
    counter: where steps that were left out in a row are counted; the metrics
      have this count as `COUNTER_skipped`.

  Returns:
    A function of the same arguments. It reads the state twice, which costs a
    copy of it where the state is donated.

  Example:
    >>> from typing import NamedTuple
    >>> class State(NamedTuple):
    ...   step: Any
    ...   x: Any
    ...   skipped: Any
    >>> def step(state, by):
    ...   return state._replace(step=state.step + 1, x=state.x + by), {}
    >>> start = State(jnp.int32(0), jnp.float32(1), {'x': jnp.int32(0)})
    >>> state, metrics = skipping(step, 'x')(start, jnp.inf)
    >>> int(state.step), float(state.x), int(metrics['x_skipped'])
    (1, 1.0, 1)
    >>> state, metrics = skipping(step, 'x')(state, 2.0)
    >>> int(state.step), float(state.x), int(metrics['x_skipped'])
    (2, 3.0, 0)
  """

  def guarded(state: Any, *args: Any) -> tuple[Any, dict[str, jax.Array]]:
    after, metrics = step(state, *args)
    goes_on = {
      name: getattr(after, name) for name in _GOES_ON if hasattr(after, name)
    }
    losses = [v for name, v in metrics.items() if name.endswith('_loss')]
    fine = all_finite((after._replace(**goes_on), losses))
    before = state._replace(**goes_on)
    # A conditional, since the compiler would compute a `where` of each array
    # together with all sums that `fine` is made of, and compile for minutes.
    chosen = jax.lax.cond(
      fine, lambda new, old: new, lambda new, old: old, after, before
    )
    in_a_row = jnp.where(fine, 0, state.skipped[counter] + 1)
    skipped = {**state.skipped, counter: in_a_row}
    return (
      chosen._replace(skipped=skipped),
      {**metrics, f'{counter}_skipped': in_a_row},
    )

  return guarded
