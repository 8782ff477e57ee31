"""Ways to compute a supernet that must not change what it computes."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from nasjax import count, ops, relax, space, spaces
from nasjax.supernet import Supernet
from nasjax.supernet.entangled import Entangled

NETS = [Supernet, Entangled]
NATIVE = ops.Numerics(lowering='native')
TINY = spaces.tiny(num_classes=3)
IMAGES = jax.random.normal(jax.random.key(2), (16, 8, 8, 1))
PROBS = relax.softmax(space.init_alphas(TINY, jax.random.key(3)))


@functools.cache
def _variables(net):
  init = functools.partial(net(TINY, NATIVE).init, train=False)
  return jax.jit(init)(jax.random.key(0), IMAGES, PROBS)


def _gradient(net, **numerics):
  """`(variables, probs) -> ((loss, (logits, stats)), gradient)`."""
  made = net(TINY, dataclasses.replace(NATIVE, **numerics))

  def loss(params, probs, stats):
    logits, new = made.apply(
      {'params': params, 'batch_stats': stats},
      IMAGES,
      probs,
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': jax.random.key(1)},
    )
    return jax.nn.logsumexp(jnp.sin(logits)), (logits, new['batch_stats'])

  grad = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
  return lambda v, probs: grad(v['params'], probs, v['batch_stats'])


@pytest.mark.slow
@pytest.mark.parametrize('net', NETS)
def test_computed_again_it_is_the_same_at_a_forward_pass_more(net):
  variables = _variables(net)
  kept, again = (_gradient(net, remat=r) for r in (False, True))
  one, two = (jax.jit(f)(variables, PROBS) for f in (kept, again))
  chex.assert_trees_all_close(one, two, rtol=1e-5, atol=1e-6)
  forward = count.macs(
    lambda v, p: net(TINY, NATIVE).apply(v, IMAGES, p, train=False),
    variables,
    PROBS,
  )
  more = count.macs(again, variables, PROBS) - count.macs(
    kept, variables, PROBS
  )
  # What a gradient does not need of a slot, as its last convolution's output,
  # is not computed again.
  assert 0.3 * forward < more <= forward


@pytest.mark.quick_every(2)
@pytest.mark.parametrize('net', NETS)
def test_bfloat16_is_close_and_weights_and_statistics_stay_float32(net):
  variables = _variables(net)
  (_, (logits, stats)), gradient = jax.jit(_gradient(net))(variables, PROBS)
  (_, (rounded, low)), lower = jax.jit(_gradient(net, dtype=jnp.bfloat16))(
    variables, PROBS
  )
  for tree in (low, lower):
    chex.assert_trees_all_equal_dtypes(tree, jax.tree.map(jnp.float32, tree))
  # Eight bits of mantissa, and a few dozen roundings in a row.
  assert 0 < np.abs(rounded - logits).max() < 0.05 * np.ptp(logits)
  chex.assert_trees_all_close(stats, low, atol=0.02, rtol=0.05)
  whole, rough = (ravel_pytree(tree)[0] for tree in (gradient, lower))
  error = jnp.linalg.norm(rough - whole) / jnp.linalg.norm(whole)
  assert 0 < error < 0.1
