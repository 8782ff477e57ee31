"""Losses of networks whose batch statistics are those of training images.

A search normalises every judged network by the statistics of the judged images.
Here each network's statistics are computed again, on training images (Yu and
Huang 2019, Universally Slimmable Networks, section 3.3), and the judged images
are normalised by them, as a network is that is used.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from benchmarks.truth import proxy
from nasjax import data, search
from nasjax.ops import Numerics
from nasjax.train import cross_entropy

NET = proxy.SPACE.search_network(Numerics(bn_momentum=0.0))


def losses(
  built: proxy.Built, images: int
) -> Callable[[search.State, dict[str, jax.Array]], jax.Array]:
  """Makes `(state, options) -> f32[networks]`, to be jitted.

  Args:
    built: the search whose networks are judged.
    images: number of training images behind the statistics, and of validation
      images on which networks are judged.
  """
  train, valid = (
    data.Arrays(arrays.images[:images], arrays.labels[:images])
    for arrays in built.images
  )

  def judged(state, options):
    mean, std = data.statistics(built.images.train.images)
    calibration, pixels = (
      data.normalise(arrays.images, mean, std) for arrays in (train, valid)
    )
    params = built.parts.params(state, pixels)

    def one(option):
      probs = {
        name: jax.nn.one_hot(o, len(proxy.SPACE.choices[name]))
        for name, o in option.items()
      }
      index = {name: o[None] for name, o in option.items()}
      _, new = NET.apply(
        {'params': params, 'batch_stats': state.batch_stats},
        calibration,
        probs,
        train=True,
        index=index,
        mutable=['batch_stats'],
      )
      logits = NET.apply(
        {'params': params, **new}, pixels, probs, train=False, index=index
      )
      return cross_entropy(logits, valid.labels)

    return jax.lax.map(one, dict(options))

  return jax.jit(judged)


def options_of(indices: jax.Array) -> dict[str, jax.Array]:
  """Name of a choice to the options of several networks."""
  return {
    name: jnp.asarray(indices[:, i], jnp.int32)
    for i, name in enumerate(proxy.SPACE.choices)
  }
