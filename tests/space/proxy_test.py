"""A space that is searched small and evaluated large."""

import jax
import jax.numpy as jnp
import pytest

from nasjax import cost, count, space, spaces
from nasjax.errors import InputError

FULL = spaces.tiny(image_size=16, num_classes=4)
SMALL = spaces.tiny(image_size=8, num_classes=3)
PROXY = space.Proxy(FULL, SMALL)


def _classes(net, size):
  images = jax.ShapeDtypeStruct((1, size, size, 1), jnp.float32)
  probs = space.one_hot(space.argmax(PROXY, space.init_alphas(PROXY)))
  variables = count.module_shapes(net, images, probs, train=False)
  logits = jax.eval_shape(
    lambda v, x: net.apply(v, x, probs, train=False), variables, images
  )
  return logits.shape[-1]


@pytest.mark.parametrize('name', ['macs', 'params', 'memory'])
def test_costs_are_those_of_the_full_networks(name):
  own, full, small = (getattr(cost, name)(s) for s in (PROXY, FULL, SMALL))
  a = space.argmax(PROXY, space.init_alphas(PROXY, jax.random.key(0)))
  on_full = space.Architecture(FULL, a.choice)
  on_small = space.Architecture(SMALL, a.choice)
  assert own.exact(a) == full.exact(on_full) > small.exact(on_small)
  assert own.bounds() == full.bounds()


def test_a_search_trains_the_small_network_and_derives_the_full_one():
  assert _classes(PROXY.search_network(), 8) == 3
  assert _classes(PROXY.network(), 16) == 4
  a = space.argmax(PROXY, space.init_alphas(PROXY))
  assert PROXY.fix(a) == FULL.fix(space.Architecture(FULL, a.choice))
  assert PROXY.choices == FULL.choices
  assert PROXY.name == FULL.name


def test_other_choices_are_refused_by_name():
  with pytest.raises(InputError, match="'stage1_width' differs"):
    space.Proxy(FULL, spaces.tiny_width())
