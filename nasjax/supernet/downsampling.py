"""The downsampling pattern as a choice.

The patterns of a space differ in resolution, so their outputs cannot be mixed:
a step runs one pattern. `nasjax.search.score_function` draws it and estimates
the gradient of its probabilities. All patterns share their weights, since the
shapes of weights do not depend on the resolution. Each pattern has its own
running statistics of batch norm, since those do.
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from nasjax.ops import Numerics
from nasjax.space import Space, at_pattern

Tree = Any
CHOICE = 'pattern'


class Downsampling(nn.Module):
  """The network of a space with patterns; every call runs one pattern.

  `nasjax.supernet.Supernet` and `nasjax.supernet.Entangled` of a space with
  patterns are this module, so users rarely make it themselves.

  Parameters have the names and shapes of one pattern's network, such as
  `slot / op / ...`. Every leaf of `batch_stats` has a leading axis of patterns,
  of which a call in training mode updates the row of the pattern that ran.

  Under `vmap` over the index or over `probs`, all patterns are computed.

  Attributes:
    space: a space with patterns.
    numerics: how the network is computed.
    network: `(space, numerics, **module options) -> module`, the network of a
      space without patterns.

  Example:
    >>> from nasjax import spaces
    >>> from nasjax.supernet import Supernet
    >>> macro, images = spaces.tiny_macro(), jnp.zeros((2, 8, 8, 1))
    >>> probs = {n: jnp.ones(len(c)) / len(c) for n, c in macro.choices.items()}
    >>> net = Supernet(macro)
    >>> init = lambda key: net.init(key, images, probs, train=False)
    >>> shapes = jax.eval_shape(init, jax.random.key(0))
    >>> shapes['batch_stats']['stem']['conv_k3']['bn']['mean'].shape
    (2, 4)
    >>> late = {'pattern': macro.patterns.index('late')}
    >>> run = lambda v: net.apply(v, images, probs, train=False, index=late)
    >>> jax.eval_shape(run, shapes).shape
    (2, 10)
  """

  space: Space
  numerics: Numerics
  network: Callable[..., nn.Module]

  @nn.compact
  def __call__(
    self,
    images: jax.Array,
    probs: Mapping[str, jax.Array],
    *,
    train: bool,
    index: Mapping[str, jax.Array] | None = None,
  ) -> jax.Array:
    """Computes the logits of one pattern.

    Args:
      images: `f32[N, H, W, C]`, normalised.
      probs: name to `f32[options]`, for all of `space.choices`.
      train: as in `nasjax.supernet.Supernet`.
      index: `index['pattern']`, `i32[]` or `i32[1]`, is the pattern that runs.
        Without it, the pattern of the highest probability runs. The pattern's
        network gets the other entries, or None where there are none. Where the
        pattern is known when the call is traced, only its network is traced, so
        that its MACs can be counted.

    Returns:
      `f32[N, num_classes]`.

    Raises:
      InputError: images are too small for the strides.
      ValueError: `probs` lacks a choice.
    """
    if self.is_initializing():
      return self._made(images, probs, train)
    index = dict(index or {})
    pattern = index.pop(CHOICE, None)
    if pattern is None:
      if CHOICE not in probs:
        raise ValueError(
          f'probs lacks the choice {CHOICE!r} of {self.space.name!r}, and '
          'index does not name a pattern.'
        )
      # NumPy, so that known probabilities stay known while the rest is traced.
      p = probs[CHOICE]
      pattern = (p if _is_traced(p) else np.asarray(p)).argmax()
    if _is_traced(pattern):
      pattern = pattern.reshape(())
    else:
      pattern = int(np.asarray(pattern).reshape(()))
    key = self.make_rng('dropout') if self.has_rng('dropout') else None
    variables = self.variables
    params, stats = (variables.get(k, {}) for k in ('params', 'batch_stats'))
    train_stats = self.is_mutable_collection('batch_stats')
    mutable = ['batch_stats'] if train_stats else []

    def run(place):
      net = self.network(
        at_pattern(self.space, place), self.numerics, parent=None
      )

      def branch(own):
        logits, new = net.apply(
          {'params': params, 'batch_stats': own},
          images,
          probs,
          train=train,
          index=index or None,
          mutable=mutable,
          rngs=None if key is None else {'dropout': key},
        )
        return logits, new['batch_stats'] if 'batch_stats' in new else {}

      return branch

    branches = [run(i) for i in range(len(self.space.patterns))]
    own = jax.tree.map(lambda rows: rows[pattern], stats)
    if _is_traced(pattern):
      logits, new = jax.lax.switch(pattern, branches, own)
    else:
      logits, new = branches[pattern](own)
    for name in new:
      after = jax.tree.map(
        lambda rows, row: rows.at[pattern].set(row.astype(rows.dtype)),
        stats[name],
        new[name],
      )
      self.put_variable('batch_stats', name, after)
    return logits

  def _made(self, images, probs, train):
    """Makes the variables; runs the first pattern."""
    first = self.network(at_pattern(self.space, 0), self.numerics)
    # The first pattern's network makes its variables here, not one level below.
    nn.share_scope(self, first)
    logits = first(images, probs, train=train)
    number = len(self.space.patterns)
    for name, tree in self.variables.get('batch_stats', {}).items():
      rows = jax.tree.map(lambda x: jnp.stack([x] * number), tree)
      self.put_variable('batch_stats', name, rows)
    return logits


def _is_traced(x: Any) -> bool:
  return isinstance(x, jax.core.Tracer)
