"""Gates of a supernet: they pass what ranks, and fail what does not."""

import numpy as np
import pytest

from nasjax import spaces, supernet
from nasjax.errors import InputError
from nasjax.space import Choice
from nasjax.supernet.gates import one_hot, regression

CHOICES = spaces.nasbench_macro().choices


def _networks(n, seed=0):
  rng = np.random.default_rng(seed)
  return {name: rng.integers(0, len(c), n) for name, c in CHOICES.items()}


def _losses(options, seed=0, noise=0.0):
  """Additive: each choice has effects of its own, larger options better."""
  rng = np.random.default_rng(seed)
  effects = {n: -np.sort(rng.random(len(c))) for n, c in CHOICES.items()}
  total = sum(effects[name][o] for name, o in options.items())
  return total + noise * rng.normal(size=len(total))


def test_an_additive_supernet_passes():
  options = _networks(400)
  found = supernet.gates(
    CHOICES, options, _losses(options), sum(options.values())
  )
  assert found.rises > 0.5
  assert found.agree > 0.95
  assert found.networks == 400
  assert not found.failures()


def test_losses_of_chance_fail_though_halves_are_large():
  options = _networks(400)
  rng = np.random.default_rng(1)
  taus = []
  for _ in range(20):
    found = supernet.gates(
      CHOICES, options, rng.normal(size=400), sum(options.values())
    )
    taus.append(found.agree)
    assert found.agree < 0.5
    assert 'two halves' in found.failures()[-1]
  assert abs(np.mean(taus)) < 0.15


def test_a_supernet_in_which_small_networks_are_better_fails():
  options = _networks(400)
  found = supernet.gates(
    CHOICES, options, -_losses(options), sum(options.values())
  )
  assert found.rises < -0.5
  (line,) = found.failures()
  assert line.startswith('networks of the supernet that cost more')


def test_other_networks_can_be_ordered():
  options, others = _networks(200), _networks(50, seed=3)
  losses, costs = _losses(options, noise=0.2), sum(options.values())
  x = one_hot(CHOICES, options)
  found = supernet.gates(CHOICES, options, losses, costs, others)
  assert found.networks == 50
  halves = [
    one_hot(CHOICES, others) @ regression(x[part], losses[part])
    for part in (slice(100), slice(100, None))
  ]
  i, j = np.triu_indices(50, 1)
  signs = [np.sign(h[i] - h[j]) for h in halves]
  assert found.agree == pytest.approx((signs[0] * signs[1]).mean(), abs=0.01)


def test_choices_may_have_axes():
  rng = np.random.default_rng(0)
  choices = {'edge': Choice(('a', 'b'), (3,))}
  options = {'edge': rng.integers(0, 2, (100, 3))}
  losses = options['edge'] @ np.array([1.0, 2.0, 4.0])
  found = supernet.gates(choices, options, losses, -losses)
  assert found.agree > 0.9
  assert found.rises == pytest.approx(1)


def test_too_few_networks_are_refused():
  options = _networks(47)
  with pytest.raises(InputError, match='47 networks were judged, for 24 opt'):
    supernet.gates(CHOICES, options, _losses(options), sum(options.values()))


def test_a_loss_that_is_not_finite_is_refused():
  options = _networks(100)
  losses = _losses(options)
  losses[3] = np.nan
  with pytest.raises(InputError, match='not finite'):
    supernet.gates(CHOICES, options, losses, sum(options.values()))
