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
from tests.conftest import refused

# Everything that your own space needs stands from here to `Net`.
OPTIONS = {'edge': ('conv1', 'conv3'), 'act': ('relu', 'tanh')}
OPTIONS['last'] = 'conv1', 'conv3', 'conv5'
SHAPES, WIDTH, CLASSES = {'edge': (2,), 'act': (), 'last': ()}, 6, 3


class Layer(nn.Module):
  op: str

  @nn.compact
  def __call__(self, x, train=False):
    if self.op == 'dense':
      return nn.Dense(CLASSES, use_bias=False)(x)
    if self.op.startswith('conv'):
      return nn.Conv(WIDTH, (int(self.op[-1]),) * 2, use_bias=False)(x)
    return getattr(jax.nn, self.op)(x)


@dataclasses.dataclass(frozen=True)
class Block:
  op: str

  def module(self, numerics):
    return Layer(self.op)


@dataclasses.dataclass(frozen=True)
class Fork:
  size: int
  chosen: tuple = ()  # Of a network: name to the op of each choice.
  name = 'fork'

  @property
  def choices(self):
    made = {n: space.Choice(o, SHAPES[n]) for n, o in OPTIONS.items()}
    return {} if self.chosen else made

  def ops(self, name, i):
    return (dict(self.chosen)[name][i],) if self.chosen else OPTIONS[name]

  def network(self, numerics=None):
    return Net(self)

  search_network = network

  def fix(self, architecture):
    ops = {n: np.atleast_1d(o).tolist() for n, o in architecture.named.items()}
    return Fork(self.size, tuple((n, tuple(o)) for n, o in ops.items()))

  def tables(self, measure):
    image, x = ((1, self.size, self.size, c) for c in (1, WIDTH))
    ends = measure(Block('conv3'), image), measure(Block('dense'), (1, WIDTH))
    found = [space.Table((), (), (number,)) for number in ends]
    for name, shape in SHAPES.items():
      for i, index in enumerate(np.ndindex(*shape)):
        numbers = tuple(measure(Block(op), x) for op in self.ops(name, i))
        axes = ((name, index) if index else name,)[: len(numbers) - 1]
        found.append(space.Table(axes, (len(numbers),) * len(axes), numbers))
    return tuple(found)


class Net(nn.Module):
  """Two edges side by side, an activation, and a last convolution."""

  fork: Fork

  @nn.compact
  def __call__(self, images, probs, *, train, index=None):
    def mixed(name, x, i=0):
      ops, p = self.fork.ops(name, i), (1.0,)
      if len(ops) > 1:
        p = probs[name][i] if SHAPES[name] else probs[name]
      layers = (Layer(op, name=f'{name}{i}_{op}') for op in ops)
      return sum(p[k] * layer(x) for k, layer in enumerate(layers))

    x = Layer('conv3', name='stem')(images)
    x = mixed('act', mixed('edge', x) + mixed('edge', x, 1))
    return Layer('dense', name='logits')(mixed('last', x).mean((1, 2)))


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
SMALL |= {'relax': 'softmax'}  # Several choices of a name cannot be sampled.


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
    assert float(MACS(space.one_hot(a))) == MACS.exact(a)


@pytest.mark.slow
def test_run_search_finds_it_within_the_limit_and_trains_it(tmp_path):
  found = run.search(FORK, SET, limits={MACS: LIMIT}, progress=False, **SMALL)
  assert found.alphas['edge'].shape == (2, 2)
  best = max(
    (a for a in _all() if 0.9 * LIMIT <= MACS.exact(a) <= LIMIT),
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
    run.search(
      FORK, SET, limits={MACS: LIMIT}, workdir=tmp_path / 'run', relax='softmax'
    )
  assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('relax', ['contributions', 'gdas'])
def test_several_choices_of_a_name_are_refused_where_ops_are_sampled(relax):
  told = {} if relax == run.SearchConfig().relax else {'relax': relax}
  message = f"relax={relax} draws .* 'edge' of fork has 2 .* give relax=softmax"
  limits = {MACS: LIMIT}
  refused(message, run.search, FORK, SET, limits=limits, progress=False, **told)


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
