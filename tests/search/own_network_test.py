"""A search of a network that is no chain of slots, and knows no space."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nasjax import constraint, data, guard, relax, search, spaces
from nasjax.cost import Cost
from nasjax.space import Choice, Table
from nasjax.supernet import Entangled, Supernet

CHOICES = {
  'edges': Choice(('conv', 'skip', 'zero'), shape=(2,), skip=1),
  'act': Choice(('relu', 'tanh')),
  'pool': Choice(('mean', 'max'), drawn=True),
}
# Hand-written costs: an edge's conv is 100 MACs, and maxima are free.
MACS = Cost(
  'macs',
  'MACs',
  (
    *(Table((('edges', (i,)),), (3,), (100, 1, 0)) for i in range(2)),
    Table(('act', 'pool'), (2, 2), (10, 5, 40, 20)),
  ),
)
BATCHES = data.Batches(8, (0.5,), (0.3,))


class Own(nn.Module):
  """Two edges that are summed, an activation, and a kind of pooling."""

  @nn.compact
  def __call__(self, images, probs, *, train, index=None):
    stem = nn.Conv(6, (3, 3), name='stem')(images)
    total = 0
    for i in range(2):
      p = probs['edges'][i]
      y = nn.Conv(6, (3, 3), use_bias=False, name=f'edge{i}')(stem)
      y = nn.BatchNorm(not train, name=f'bn{i}')(y)
      total += p[0] * y + p[1] * stem
    each = jax.nn.relu(total), jnp.tanh(total)
    h = sum(probs['act'][i] * y for i, y in enumerate(each))
    kinds = [lambda x: x.mean((1, 2)), lambda x: x.max((1, 2))]
    chosen = probs['pool'].argmax() if index is None else index['pool']
    h = jax.lax.switch(chosen, kinds, h)
    return nn.Dense(4, name='logits')(h)


class Two(nn.Module):
  """One choice, whose ops have weights at `params[choice][option]` or not."""

  names: tuple[str, ...] = ('op',)

  @nn.compact
  def __call__(self, images, probs, *, train, index=None):
    class Op(nn.Module):
      @nn.compact
      def __call__(self, x):
        return sum(
          probs['op'][i] * nn.Conv(4, (k, k), name=f'conv{k}')(x).mean((1, 2))
          for i, k in enumerate((1, 3))
        )

    return Op(name=self.names[0])(images)


def _arrays():
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (32, 6, 6, 1)).astype(np.uint8)
  return data.Arrays(images, (np.arange(32) % 4).astype(np.int32))


def _make(**kwargs):
  given = {
    'net': Own(),
    'choices': CHOICES,
    'batches': BATCHES,
    'constraints': [(MACS, constraint.linear(1.0, 100.0))],
    'weight_tx': optax.sgd(0.05, momentum=0.9),
    'alpha_tx': optax.adam(0.1),
    **kwargs,
  }
  return search.make(**given)


@pytest.mark.slow
def test_every_choice_moves_and_the_limit_is_approached():
  arrays = _arrays()
  guards = guard.Guards(
    entropy=lambda step: 0.01, skip_dropout=lambda step: 0.3
  )
  projection = constraint.project([MACS], [60.0])
  parts = _make(
    guards=guards,
    projection=projection,
    hypergradient=functools.partial(
      search.hypergradient.second, tx=optax.sgd(0.05, momentum=0.9)
    ),
  )
  state = jax.jit(parts.init)(jax.random.key(0), arrays, arrays)
  step = jax.jit(parts.step)
  start, costs, drawn = state.alphas, [], set()
  for _ in range(8):
    state, metrics = step(state, arrays, arrays)
    costs.append(float(metrics['macs']))
    drawn.add(int(metrics['pool']))
  for name, alphas in state.alphas.items():
    assert alphas.shape == start[name].shape
    assert (alphas != start[name]).all(), name
  assert start['edges'].shape == (2, 3)
  assert costs[0] > 80 > 60.1 > costs[-1]
  assert drawn == {0, 1}
  assert int(metrics['skips']) <= 2
  assert np.isfinite(float(jax.jit(parts.eigenvalue)(state, arrays)))


def test_parameters_are_the_modules_own():
  arrays = _arrays()
  parts = _make()
  state = jax.eval_shape(parts.init, jax.random.key(0), arrays, arrays)
  assert set(state.params) == {'stem', 'edge0', 'edge1', 'bn0', 'bn1', 'logits'}
  assert parts.params(state, arrays.images) is state.params
  assert set(state.batch_stats) == {'bn0', 'bn1'}


def test_sampled_ops_are_refused_where_one_name_holds_several_choices():
  with pytest.raises(ValueError, match=r"'edges'.* has shape \(2,\)"):
    _make(relaxation=relax.GDAS)


def test_sampled_ops_are_refused_where_their_weights_are_elsewhere():
  choices = {'op': Choice(('conv1', 'conv3'))}
  arrays = _arrays()

  def init(net):
    parts = _make(
      net=net, choices=choices, constraints=[], relaxation=relax.GDAS
    )
    return jax.eval_shape(parts.init, jax.random.key(0), arrays, arrays)

  with pytest.raises(ValueError, match=r"'conv1', 'conv3', but no .*'op'"):
    init(Two(('elsewhere',)))
  rows = init(Two()).params['op']['4d']['kernel']
  assert rows.shape == (2, 3, 3, 1, 4)


def test_ops_that_share_weights_are_not_sampled():
  tiny = spaces.tiny()
  given = {'choices': tiny.choices, 'constraints': []}
  for relaxation in (relax.GDAS, relax.BINARY_GATES):
    with pytest.raises(ValueError, match='Entangled, whose ops share weights'):
      _make(net=Entangled(tiny), relaxation=relaxation, **given)
    _make(net=Supernet(tiny), relaxation=relaxation, **given)


def test_arguments_that_do_not_go_together_are_refused():
  choices = {n: c for n, c in CHOICES.items() if not c.shape}
  implicit = search.hypergradient.implicit_with(terms=2)
  with pytest.raises(ValueError, match='hypergradient is implicit_with'):
    _make(choices=choices, relaxation=relax.GDAS, hypergradient=implicit)
  with pytest.raises(
    ValueError, match=r'fairness requires hypergradient\.first'
  ):
    _make(hypergradient=implicit, guards=guard.Guards(fairness=guard.uniform))
  no_skip = {'act': CHOICES['act']}
  with pytest.raises(ValueError, match='a skip, and none of act has one'):
    _make(choices=no_skip, guards=guard.Guards(skip_dropout=lambda step: 0.5))
