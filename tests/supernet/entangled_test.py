"""The entangled supernet against the networks that it holds."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nasjax import count, ops, relax, space, spaces
from nasjax.supernet import Supernet, inherit
from nasjax.supernet.entangled import Entangled, EntangledSlot
from tests.supernet.entangled_cases import SPACES, MBConv, Stage, make_cut

# Compiles in a fraction of the time.
NATIVE = ops.Numerics(lowering='native')


def _images(s, n=3):
  shape = (n, s.image_size, s.image_size, s.channels)
  return jax.random.normal(jax.random.key(2), shape)


def _variables(net, images, probs):
  """As drawn, and nothing is 0 or 1: what is forgotten would not be seen."""
  init = functools.partial(net.init, train=False)
  shapes = jax.eval_shape(init, jax.random.key(0), images, probs)
  rng = np.random.default_rng(0)

  def value(path, z):
    if path[-1].key == 'kernel':
      drawn = rng.normal(size=z.shape) / np.sqrt(np.prod(z.shape[:-1]))
    else:
      drawn = rng.uniform(0.5, 1.5, z.shape)
    return jnp.asarray(drawn)

  return jax.tree_util.tree_map_with_path(value, shapes)


def _net(a):
  """The supernet of an architecture's space, with all patterns if any."""
  return Entangled(a.space, NATIVE)


def _run(net, train):
  """From parameters and the rest to a loss, all that comes out, a gradient."""

  def loss(params, stats, images, probs):
    out, new = net.apply(
      {'params': params, 'batch_stats': stats},
      images,
      probs,
      train=train,
      mutable=['batch_stats'],
    )
    return jax.nn.logsumexp(jnp.sin(out)), (out, new['batch_stats'])

  return jax.jit(jax.value_and_grad(loss, has_aux=True))


@pytest.mark.drawn(3)
@pytest.mark.quick_every(9, first=2)
@pytest.mark.parametrize(
  ('name', 'train', 'number'),
  [*((name, True, 1) for name in SPACES), ('widths', False, 3)],
)
def test_at_one_hot_it_is_the_derived_network(x64, draw, name, train, number):
  """Outputs, statistics and gradients, which are 0 for all other weights."""
  runs = {}
  for _ in range(number):
    a = draw(SPACES[name])
    images, probs = _images(a.space), space.one_hot(a)
    net = _net(a)
    v = _variables(net, images, probs)
    run = runs.setdefault(net, _run(net, train))
    (_, (out, stats)), g = run(v['params'], v['batch_stats'], images, probs)
    cut = functools.partial(inherit.subweights, a.space, a)
    derived = Supernet(space.fix(a.space, a), NATIVE)
    (_, (out_own, stats_own)), g_own = _run(derived, train)(
      cut(v['params']), cut(v['batch_stats'], 'batch_stats'), images, {}
    )
    (expected,) = jax.linear_transpose(cut, v['params'])(g_own)
    assert optax.tree.norm(g_own) > 1e-3
    close = functools.partial(
      chex.assert_trees_all_close, rtol=1e-10, atol=1e-10
    )
    close(out, out_own)
    close(cut(stats, 'batch_stats'), stats_own)
    close(g, expected)


@pytest.mark.slow
def test_a_slot_is_linear_in_the_probabilities_of_block_and_skip(x64):
  """Closed form: P block + p_skip x, where ratios within the block stay."""
  s = make_cut([Stage(4, 1)], (MBConv(3, 3), MBConv(5, 1), ops.Skip()))
  slot = EntangledSlot(s.slots[1], 4, NATIVE)
  x = jax.random.normal(jax.random.key(0), (2, 5, 5, 4))
  names = s.slots[1].name
  ratios = jnp.array([0.3, 0.7, 0.0])
  v = slot.init(jax.random.key(1), x, {names: ratios}, False)
  apply = jax.jit(lambda p: slot.apply(v, x, {names: p}, False))
  mixture = apply(0.4 * ratios + jnp.array([0, 0, 0.6]))
  expected = 0.4 * apply(ratios) + 0.6 * x
  chex.assert_trees_all_close(mixture, expected, rtol=1e-12, atol=1e-12)
  assert jnp.abs(apply(ratios) - x).max() > 0.1


def _slope(s, probs, dtype):
  """Of a loss in the probs, and the loss itself as a function of them."""
  images = _images(s).astype(dtype)
  net = Entangled(s, NATIVE)
  v = _variables(net, images, probs)
  v = jax.tree.map(lambda z: z.astype(dtype), v)

  def loss(probs):
    out, _ = net.apply(v, images, probs, train=True, mutable=['batch_stats'])
    return jax.nn.logsumexp(jnp.sin(out))

  return jax.jit(jax.value_and_grad(loss))


def test_probabilities_have_the_gradient_of_the_loss(x64):
  """Against central differences along a direction, of ops and of widths."""
  candidates = (MBConv(3, 1, 'swish'), MBConv(5, 3, 'swish'), ops.Skip())
  # Nothing in it has a kink.
  s = make_cut(
    [Stage((4, 6), 2), Stage((3, 4), 1)], candidates, activation='swish'
  )
  keys = iter(jax.random.split(jax.random.key(3), 20))
  noise = lambda: space.init_alphas(s, next(keys), 1.0)  # noqa: E731
  probs, direction = relax.softmax(noise()), noise()
  run = _slope(s, probs, 'float64')
  _, g = run(probs)
  for name in s.choices:
    step = {
      other: 1e-5 * d if other == name else 0 * d
      for other, d in direction.items()
    }
    ahead, behind = (
      run(jax.tree.map(lambda p, d, h=h: p + h * d, probs, step))[0]
      for h in (1, -1)
    )
    along = float((g[name] * direction[name]).sum())
    assert (ahead - behind) / 2e-5 == pytest.approx(along, rel=1e-6), name
    assert abs(along) > 1e-6, name


@pytest.mark.slow
def test_gradients_are_finite_and_informed_at_extreme_probabilities(draw):
  """Straight-through asks for them where a block or a channel has none."""
  s = SPACES['kernels, expansions, skip, strides']
  start = relax.softmax(space.init_alphas(s))
  run = _slope(s, start, 'float32')
  skipped = space.one_hot(
    space.Architecture.from_indices(
      s, [len(names) - 1 for names in s.choices.values()]
    )
  )
  cold = relax.softmax(space.init_alphas(s, jax.random.key(0), 60.0))
  assert min(float(p.min()) for p in cold.values()) < 1e-30
  for probs in (skipped, cold, space.one_hot(draw(s))):
    value, g = run(probs)
    chex.assert_tree_all_finite((value, g))
    assert all((p != 0).any() for p in g.values())


@pytest.mark.quick_every(2)
@pytest.mark.parametrize('widths', [False, True])
def test_it_has_the_size_of_the_largest_network(widths):
  """Parameters, and MACs per image: probabilities are mixed once a batch."""
  make = spaces.mobile_width_small if widths else spaces.mobile_small
  s = make()
  largest = space.Architecture(
    s,
    tuple(
      'mbconv_k5_e6'
      if 'skip' in names or 'mbconv_k3_e3' in names
      else names[-1]
      for names in s.choices.values()
    ),
  )
  probs = relax.softmax(space.init_alphas(s))

  def counted(net, probs):
    def macs(n):
      images = jax.ShapeDtypeStruct((n, 28, 28, 1), 'float32')
      v = count.module_shapes(net, images, probs, train=False)
      return count.macs(net, v, images, probs, train=False), count.params(v)

    (one, params), (three, _) = macs(1), macs(3)
    return three - one, params

  derived = Supernet(space.fix(s, largest), NATIVE)
  assert counted(Entangled(s, NATIVE), probs) == counted(derived, {})


def test_bad_input_is_refused():
  tiny = spaces.tiny()
  probs = relax.softmax(space.init_alphas(tiny))
  init = functools.partial(
    Entangled(tiny).init, jax.random.key(0), _images(tiny), train=False
  )
  with pytest.raises(ValueError, match='not left out by an index'):
    init(probs, index={})
  with pytest.raises(ValueError, match='stage1_1, stage2_1, stage2_2'):
    init({})
