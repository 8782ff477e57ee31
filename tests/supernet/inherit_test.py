"""A derived network with the weights of its supernet."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import ops, space, spaces
from nasjax.supernet import Supernet, inherit
from nasjax.supernet.entangled import Entangled

NATIVE = ops.Numerics(lowering='native')
SPACE = spaces.tiny(num_classes=3)
CHOSEN = space.Architecture(SPACE, ('mbconv_k3_e1', 'mbconv_k3_e3', 'skip'))


@functools.cache
def _params():
  init = functools.partial(Entangled(SPACE).init, train=False)
  images = jnp.zeros((1, 8, 8, 1))
  return jax.jit(init)(jax.random.key(0), images, space.one_hot(CHOSEN))[
    'params'
  ]


def _derived():
  """The derived network, and its parameters."""
  net = Supernet(space.fix(SPACE, CHOSEN), NATIVE)
  return net, inherit.subweights(SPACE, CHOSEN, _params())


def _images(n, seed=0):
  """Batches that differ in mean and spread."""
  x = np.random.default_rng(seed).normal(seed, 1 + seed, (n, 8, 8, 1))
  return jnp.asarray(x, jnp.result_type(float))


def test_weights_are_the_middle_taps_and_the_first_channels():
  candidates = (ops.MBConv(3, 1), ops.MBConv(7, 6))
  s = spaces.mobile(
    [spaces.Stage((3, 5), 1)],
    image_size=8,
    channels=1,
    num_classes=2,
    stem=4,
    stem_stride=1,
    head=5,
    candidates=candidates,
  )
  a = space.Architecture(s, ('3', 'mbconv_k3_e1'))
  probs = {k: jnp.ones(len(n)) for k, n in s.choices.items()}
  params = jax.eval_shape(
    lambda: Entangled(s).init(
      jax.random.key(0), jnp.zeros((1, 8, 8, 1)), probs, train=False
    )
  )['params']
  rng = np.random.default_rng(0)
  params = jax.tree.map(
    lambda z: rng.normal(size=z.shape).astype(z.dtype), params
  )
  whole = params['stage1_1']['mbconv_k7_e6']
  found = inherit.subweights(s, a, params)
  own = found['stage1_1']['mbconv_k3_e1']
  assert set(own) == {'dw', 'dw_bn', 'project', 'project_bn'}
  middle = whole['dw']['kernel'][2:5, 2:5, :, :4]
  chex.assert_trees_all_equal(own['dw']['kernel'], middle)
  chex.assert_trees_all_equal(
    own['project']['kernel'], whole['project']['kernel'][:, :, :4, :3]
  )
  chex.assert_trees_all_equal(
    own['project_bn']['scale'], whole['project_bn']['scale'][:3]
  )
  head = params['head']['conv_k1']['conv']['kernel']
  chex.assert_trees_all_equal(
    found['head']['conv_k1']['conv']['kernel'], head[:, :, :3]
  )
  # The linear layer's rows are no pixels.
  chex.assert_trees_all_equal(found['classifier'], params['classifier'])


def test_weights_of_another_network_are_refused():
  other = {**_params(), 'stage2_1': {}}
  with pytest.raises(ValueError, match=r'stage2_1/mbconv_k3_e3/.*no part'):
    inherit.subweights(SPACE, CHOSEN, other)
  wider = space.resize(SPACE, num_classes=4)
  with pytest.raises(ValueError, match=r'\(4,\), which is no part of \(3,\)'):
    inherit.subweights(wider, CHOSEN, _params())


@pytest.mark.slow
def test_reestimated_on_one_batch_it_computes_what_batch_statistics_give(x64):
  """Though statistics were of anything before, and however often it is seen."""
  net, params = _derived()
  x = _images(6, seed=2)
  apply = jax.jit(inherit.statistics(net.space, NATIVE))
  variables = inherit.reestimate(apply, {'params': params}, [x, x, x])
  running = net.apply(variables, x, {}, train=False)
  batch, _ = net.apply(variables, x, {}, train=True, mutable=['batch_stats'])
  chex.assert_trees_all_close(running, batch, rtol=1e-10, atol=1e-10)


def test_of_the_first_layer_statistics_are_those_of_all_images_at_once(x64):
  net, params = _derived()
  batches = [_images(4, seed) for seed in range(3)]
  apply = jax.jit(inherit.statistics(net.space, NATIVE))
  variables = {'params': params, 'other': jnp.ones(1)}
  found = inherit.reestimate(apply, variables, batches)
  together = inherit.reestimate(apply, variables, [jnp.concatenate(batches)])
  stem, stem_together = (z['batch_stats']['stem'] for z in (found, together))
  chex.assert_trees_all_close(stem, stem_together, rtol=1e-10)
  assert found['other'] is variables['other']


@pytest.mark.slow
def test_running_statistics_approach_those_of_a_batch_as_batches_grow():
  """Of one distribution: the outputs' distance falls as 1 / sqrt(images)."""
  net, params = _derived()
  apply = jax.jit(inherit.statistics(net.space, NATIVE))
  draw = lambda seed, n: jax.random.normal(  # noqa: E731
    jax.random.key(seed), (n, 8, 8, 1)
  )
  x = draw(100, 512)
  run = jax.jit(functools.partial(net.apply, probs={}, train=False))
  truth = inherit.reestimate(apply, {'params': params}, [x])

  def distance(number):
    batches = [draw(seed, 8) for seed in range(number)]
    v = inherit.reestimate(apply, {'params': params}, batches)
    return float(jnp.abs(run(v, x) - run(truth, x)).mean())

  assert distance(32) < distance(1) / 2


def test_no_batches_are_refused():
  with pytest.raises(ValueError, match='at least one batch'):
    inherit.reestimate(lambda v, x: {}, {}, [])
