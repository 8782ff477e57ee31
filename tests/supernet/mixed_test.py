"""The supernet against the networks that it holds."""

import functools

import chex
import jax
import jax.numpy as jnp
import pytest

from nasjax import ops, relax, space, spaces, zoo
from nasjax.supernet import Mixed, Supernet
from tests.supernet.mixed_cases import images_for, init_variables, sparse

NATIVE = ops.Numerics(lowering='native')
TAPS = ops.Numerics(lowering='taps')


@pytest.mark.slow
@pytest.mark.parametrize('train', [False, True])
def test_at_one_hot_it_is_the_derived_network(x64, draw, train):
  stages = [spaces.Stage(4, 1), spaces.Stage(6, 2, 2)]
  a = draw(
    spaces.mobile(
      stages, image_size=7, num_classes=3, stem=4, stem_stride=1, head=5
    )
  )
  images = images_for(a.space)
  probs = space.one_hot(a)
  net = Supernet(a.space)
  variables = init_variables(net, images, probs)
  derived = Supernet(space.fix(a.space, a))
  chosen = dict(zip(a.space.choices, a.choice, strict=True))
  part = {
    kind: {
      slot: {
        op: leaf for op, leaf in ops_.items() if chosen.get(slot, op) == op
      }
      for slot, ops_ in tree.items()
    }
    for kind, tree in variables.items()
  }
  mutable = ['batch_stats'] if train else False

  def run(net, variables, probs):
    apply = functools.partial(net.apply, train=train, mutable=mutable)
    return jax.jit(apply)(variables, images, probs)

  full, alone = run(net, variables, probs), run(derived, part, {})
  full, alone = (full[0], alone[0]) if train else (full, alone)
  chex.assert_trees_all_close(full, alone, rtol=1e-10, atol=1e-10)


def test_mixing_is_the_weighted_sum_of_the_ops(x64):
  """Closed form for one slot: the output is linear in that slot's probs."""
  slot = spaces.tiny().slots[3]
  x = jax.random.normal(jax.random.key(3), (2, 4, 4, 8))
  mixed = Mixed(slot)
  v = mixed.init(jax.random.key(0), x, jnp.ones(3), False)
  apply = jax.jit(mixed.apply, static_argnums=3)
  one = [apply(v, x, row, False) for row in jnp.eye(3)]
  p = jnp.array([0.2, 0.5, 0.3])
  total = sum(pi * y for pi, y in zip(p, one, strict=True))
  chex.assert_trees_all_close(apply(v, x, p, False), total, rtol=1e-12)
  chex.assert_trees_all_close(one[2], x)  # the skip


@pytest.mark.slow
def test_an_op_with_probability_0_learns_nothing():
  a = space.Architecture(
    spaces.tiny(), ('mbconv_k3_e1', 'mbconv_k3_e3', 'skip')
  )
  images, probs = images_for(a.space), space.one_hot(a)
  net = Supernet(a.space)
  variables = init_variables(net, images, probs)

  def loss(params):
    out, _ = net.apply(
      {**variables, 'params': params},
      images,
      probs,
      train=True,
      mutable=['batch_stats'],
    )
    return (out**2).sum()

  g = jax.jit(jax.grad(loss))(variables['params'])
  for slot, chosen in zip(a.space.choices, a.choice, strict=True):
    for op, leaf in g[slot].items():
      size = sum(float(jnp.abs(x).sum()) for x in jax.tree.leaves(leaf))
      assert (size > 0) == (op == chosen), (slot, op)


def test_at_initialisation_every_op_makes_its_parameters():
  tiny = spaces.tiny()
  images, (probs, index) = images_for(tiny), sparse(tiny, 1)
  init = jax.jit(functools.partial(Supernet(tiny).init, train=False))
  key = jax.random.key(0)
  every, sampled = (init(key, images, probs, index=i) for i in (None, index))
  chex.assert_trees_all_equal(every, sampled)


@pytest.mark.slow
def test_fast_and_native_forms_compute_the_same(x64):
  """Values and gradients of a whole supernet, in float64."""
  tiny = spaces.tiny(image_size=9)
  images = images_for(tiny)
  alphas = space.init_alphas(tiny, jax.random.key(4), 1.0)
  variables = init_variables(Supernet(tiny), images, relax.softmax(alphas))

  def loss(params, alphas, numerics):
    logits, _ = Supernet(tiny, numerics).apply(
      {**variables, 'params': params},
      images,
      relax.softmax(alphas),
      train=True,
      mutable=['batch_stats'],
    )
    return jax.nn.logsumexp(logits)

  grad = jax.value_and_grad(loss, argnums=(0, 1))
  fast, native = (
    jax.jit(grad, static_argnums=2)(variables['params'], alphas, n)
    for n in (TAPS, NATIVE)
  )
  chex.assert_trees_all_close(fast, native, rtol=1e-9, atol=1e-11)


def test_missing_probs_are_named():
  tiny = spaces.tiny()
  with pytest.raises(ValueError, match='stage1_1, stage2_1, stage2_2'):
    Supernet(tiny).init(jax.random.key(0), images_for(tiny), {}, train=False)


def test_a_published_network_is_a_space_like_any_other():
  net = zoo.mobilenet_v2(width=0.1, image_size=28, channels=1, num_classes=7)
  images, key = images_for(net), jax.random.key(0)
  logits, variables = jax.eval_shape(
    lambda: Supernet(net).init_with_output(key, images, {}, train=False)
  )
  assert logits.shape == (3, 7)
  assert set(variables['params']) == {slot.name for slot in net.slots}
