"""Skips: found, counted, and dropped at their rate."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from nasjax import guard, relax, space
from tests.guard.guard_cases import MOBILE, TINY, drawn_alphas, make_masks


def test_skips_are_where_stride_and_width_stay():
  skips = guard.skips(MOBILE.choices)
  found = {name for name, ops in MOBILE.choices.items() if 'skip' in ops}
  assert set(skips) == found
  assert len(found) == 5
  for name, i in skips.items():
    assert MOBILE.choices[name][i] == 'skip'
  assert not guard.skips(
    space.fix(TINY, space.argmax(TINY, drawn_alphas(of=TINY))).choices
  )


def test_as_many_skips_are_counted_as_win(draw):
  for _ in range(20):
    a = draw(MOBILE)
    found = guard.count_skips(space.one_hot(a), MOBILE.choices)
    assert int(found) == a.choice.count('skip')


def test_skips_are_dropped_at_the_rate_and_the_mean_stays():
  """Binomial bound of 5 standard deviations over 4,000 draws."""
  probs, rate, n = relax.softmax(drawn_alphas()), 0.3, 4000
  keys = jax.random.split(jax.random.key(0), n)
  drop = lambda k: guard.drop_skips(probs, MOBILE.choices, rate, k)  # noqa: E731
  dropped, masks = jax.jit(jax.vmap(drop))(keys), make_masks()
  gone = []
  for name, p in probs.items():
    mask = masks.get(name, np.zeros(len(p), bool))
    others = np.broadcast_to(p[~mask], (n, (~mask).sum()))
    np.testing.assert_array_equal(dropped[name][:, ~mask], others)
    if mask.any():
      own = dropped[name][:, mask][:, 0]
      gone.append(own == 0)
      grown = float(p[mask][0]) / (1 - rate)
      np.testing.assert_allclose(own[own > 0], grown, rtol=1e-6)
      assert abs(gone[-1].mean() - rate) < 5 * (rate * (1 - rate) / n) ** 0.5
  # Each skip on its own.
  both = (gone[0] & gone[1]).mean()
  assert abs(both - rate**2) < 5 * (rate**2 / n) ** 0.5


def test_without_a_rate_nothing_is_dropped():
  probs, key = relax.softmax(drawn_alphas()), jax.random.key(0)
  chex.assert_trees_all_equal(
    guard.drop_skips(probs, MOBILE.choices, 0.0, key), probs
  )


def test_a_skip_that_is_alone_is_never_dropped():
  """As in a one-hot sample: else nothing reached the rest of the network."""
  probs = {'stage2_2': jnp.array([[0.0, 0.0, 1.0], [0.5, 0.0, 0.5]])}
  keys = jax.random.split(jax.random.key(0), 50)
  drop = jax.vmap(
    lambda k: guard.drop_skips(probs, TINY.choices, 0.9, k)['stage2_2']
  )
  one, mixed = drop(keys).transpose(1, 0, 2)
  np.testing.assert_array_equal(one, np.tile([0, 0, 1], (50, 1)))
  assert (mixed[:, 2] == 0).any()


def test_what_skips_are_dropped_from_still_has_a_gradient():
  """Alphas learn through what is left, and through a skip that was kept."""
  alphas, key = drawn_alphas(of=TINY), jax.random.key(3)

  def first_output(alphas):
    p = guard.drop_skips(relax.softmax(alphas), TINY.choices, 0.5, key)
    return p['stage2_2'][0]

  assert (jax.grad(first_output)(alphas)['stage2_2'] != 0).all()
