"""A space of the test's own that is no chain: searched, derived, trained."""

import dataclasses
import functools
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nasjax import constraint, cost, data, derive, run, search, space
from nasjax.errors import InputError
from nasjax.ops import Numerics

OPTIONS = {'edge': (1, 3), 'act': ('relu', 'tanh'), 'last': (1, 3, 5)}
SHAPES = {'edge': (2,), 'act': (), 'last': ()}
WIDTH, CLASSES = 6, 3


@dataclasses.dataclass(frozen=True)
class Fork:
  """Two edges side by side, an activation, and a last convolution."""

  size: int
  chosen: tuple[tuple[str, tuple], ...] = ()  # Of a network: all is chosen.
  name = 'fork'

  @property
  def choices(self):
    if self.chosen:
      return {}
    return {
      name: space.Choice(tuple(map(str, options)), SHAPES[name])
      for name, options in OPTIONS.items()
    }

  def network(self, numerics=Numerics()):  # noqa: B008 (frozen)
    return Net(self)

  search_network = network

  def fix(self, architecture):
    index = architecture.index
    flat = {n: (index[n],) for n in ('act', 'last')}
    flat['edge'] = tuple(index['edge', (i,)] for i in range(2))
    return Fork(self.size, tuple(sorted(flat.items())))

  def tables(self, measure):
    x = (1, self.size, self.size, WIDTH)
    image = (1, self.size, self.size, 1)
    found = [_table((), [measure(Conv(3), image)])]
    places = {('edge', (i,)): 'edge' for i in range(2)} | {'last': 'last'}
    for axis, name in places.items():
      numbers = [measure(Conv(k), x) for k in OPTIONS[name]]
      if self.chosen:
        i = axis[1][0] if isinstance(axis, tuple) else 0
        numbers = [numbers[dict(self.chosen)[name][i]]]
      found.append(_table(() if self.chosen else (axis,), numbers))
    return (*found, _table((), [measure(Dense(), (1, WIDTH))]))


def _table(axes, numbers):
  return space.Table(tuple(axes), (len(numbers),) * len(axes), tuple(numbers))


@dataclasses.dataclass(frozen=True)
class Conv:
  kernel: int

  def module(self, numerics):
    return _Layer(nn.Conv(WIDTH, (self.kernel, self.kernel), use_bias=False))


@dataclasses.dataclass(frozen=True)
class Dense:
  def module(self, numerics):
    return _Layer(nn.Dense(CLASSES))


class _Layer(nn.Module):
  layer: nn.Module

  @nn.compact
  def __call__(self, x, train):
    return self.layer(x)


class Net(nn.Module):
  fork: Fork

  @nn.compact
  def __call__(self, images, probs, *, train, index=None):
    chosen = dict(self.fork.chosen)

    def mixed(name, i, run):
      """Of a network the chosen option; else all, by their probabilities."""
      if chosen:
        return run(OPTIONS[name][chosen[name][i]])
      p = probs[name][i] if SHAPES[name] else probs[name]
      return sum(p[k] * run(o) for k, o in enumerate(OPTIONS[name]))

    def conv(name, x):
      return lambda k: nn.Conv(
        WIDTH, (k, k), use_bias=False, name=f'{name}_{k}'
      )(x)

    x = conv('stem', images)(3)
    x = sum(mixed('edge', i, conv(f'edge{i}', x)) for i in range(2))
    acts = {'relu': jax.nn.relu, 'tanh': jnp.tanh}
    x = mixed('act', 0, lambda name: acts[name](x))
    x = mixed('last', 0, conv('last', x))
    return nn.Dense(CLASSES, name='logits')(x.mean((1, 2)))


def _images(number=90, size=6):
  """Three classes that differ in brightness."""
  rng = np.random.default_rng(0)
  labels = np.arange(number) % CLASSES
  noise = rng.integers(0, 60, (number, size, size, 1))
  return (noise + 90 * labels[:, None, None, None]).astype(np.uint8), labels


FORK = Fork(6)
MACS = cost.macs(FORK)
SET = data.from_arrays(*_images())
LIMIT = sum(MACS.bounds()) // 2
SMALL = {'steps': 30, 'warmup_steps': 10, 'batch_size': 8, 'log_every': 5}


def _all():
  sizes = [len(options) for options in space.axes(FORK.choices).values()]
  for place in itertools.product(*map(range, sizes)):
    yield space.Architecture.from_indices(FORK, place)


def test_its_cost_is_that_of_the_network_that_is_built():
  from nasjax import count

  for a in _all():
    net = FORK.fix(a).network()
    images = jnp.zeros((1, 6, 6, 1))
    variables = net.init(jax.random.key(0), images, {}, train=False)
    run_net = functools.partial(net.apply, train=False)
    assert MACS.exact(a) == count.macs(run_net, variables, images, {})
    assert cost.macs(FORK.fix(a)).constant == MACS.exact(a)


@pytest.mark.slow
def test_run_search_finds_it_within_the_limit_and_trains_it(tmp_path):
  found = run.search(FORK, SET, limits={MACS: LIMIT}, progress=False, **SMALL)
  assert found.alphas['edge'].shape == (2, 2)
  best = max(
    (a for a in _all() if 0.98 * LIMIT <= MACS.exact(a) <= LIMIT),
    key=lambda a: derive.log_prob(a, found.alphas),
    default=None,
  )
  kept = [a for a in _all() if MACS.exact(a) <= LIMIT]
  best = best or max(kept, key=lambda a: derive.log_prob(a, found.alphas))
  assert found.architecture == best
  assert found.certificate.kept['macs'].slack == LIMIT - MACS.exact(best)
  expected = [row['macs'] for row in found.metrics if 'valid_loss' in row]
  # Logged before the step that projects, at another temperature.
  assert expected[-1] == pytest.approx(LIMIT, rel=0.02)
  low = MACS.bounds()[0]
  assert MACS.exact(found.within({MACS: low}).architecture) == low
  net = run.train(
    found.network, SET, epochs=8, batch_size=12, progress=False, seed=1
  )
  assert net.result['macs'] == MACS.exact(found.architecture)
  assert net.test_accuracy > 0.6
  assert (net.predict(SET.test.images) == SET.test.labels).mean() == (
    net.test_accuracy
  )
  with pytest.raises(InputError, match='no chain of slots'):
    found.figure('architecture')
  with pytest.raises(InputError, match='no chain of slots'):
    run.search(FORK, SET, limits={MACS: LIMIT}, workdir=tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


def test_search_make_takes_its_parts():
  batches = data.Batches(8, *data.statistics(SET.train.images))
  kept = constraint.keep({MACS: LIMIT})
  parts = search.make(
    FORK.search_network(),
    FORK.choices,
    batches,
    kept.constraints,
    projection=kept.projection,
    weight_tx=optax.sgd(0.05),
    alpha_tx=optax.adam(0.05),
  )
  state = parts.init(jax.random.key(0), SET.train, SET.train)
  state, metrics = jax.jit(parts.step)(state, SET.train, SET.train)
  state, metrics = jax.jit(parts.step)(state, SET.train, SET.train)
  assert float(metrics['macs']) == pytest.approx(LIMIT, rel=0.1)
