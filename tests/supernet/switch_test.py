"""Ops by index: those that run, and those that are left out."""

import chex
import jax
import pytest

from nasjax import spaces
from nasjax.supernet import Supernet
from tests.supernet.mixed_cases import images_for, init_variables, sparse


@pytest.mark.slow
@pytest.mark.parametrize(
  ('make', 'm'), [(spaces.tiny_width, 1), (spaces.tiny, 2)]
)
def test_with_an_index_it_is_the_mixture_of_the_ops_in_it(x64, make, m):
  """Values and gradients in float64; the other ops: 0, or the same to the bit.

  Of a slot's probs the gradient at other ops is 0 though the mixture's is not.
  """
  s = make()
  images, (probs, index) = images_for(s), sparse(s, m)
  net = Supernet(s)
  variables = init_variables(net, images, probs)

  def loss(params, probs, images, index):
    out, new = net.apply(
      {**variables, 'params': params},
      images,
      probs,
      train=True,
      index=index,
      mutable=['batch_stats'],
    )
    return jax.nn.logsumexp(out**2), new['batch_stats']

  run = jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))
  args = variables['params'], probs, images
  (full, _), (g_all, p_all, x_all) = run(*args, None)
  (value, stats), (g, p, x) = run(*args, index)
  assert float(value) == pytest.approx(float(full), rel=1e-12)
  chex.assert_trees_all_close((g, x), (g_all, x_all), rtol=1e-9, atol=1e-12)
  before = variables['batch_stats']
  for slot in (z for z in s.slots if len(z.ops) > 1):
    ran = {slot.op_names[i] for i in index[slot.name].tolist()}
    for i, op in enumerate(slot.op_names):
      own = [a[slot.name].get(op, {}) for a in (g, stats, before)]
      if op in ran:
        expected = p_all[slot.name][i]
        assert float(p[slot.name][i]) == pytest.approx(float(expected))
        changed = jax.tree.map(lambda a, b: (a != b).any(), *own[1:])
        assert all(jax.tree.leaves(changed))
      else:
        assert p[slot.name][i] == 0
        assert not any(x.any() for x in jax.tree.leaves(own[0]))
        chex.assert_trees_all_equal(*own[1:])


def test_a_missing_index_is_named():
  tiny = spaces.tiny()
  probs, index = sparse(tiny, 1)
  del index['stage2_1']
  with pytest.raises(ValueError, match='index lacks the slots stage2_1'):
    Supernet(tiny).init(
      jax.random.key(0), images_for(tiny), probs, train=False, index=index
    )
