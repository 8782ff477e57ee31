"""The kinds of supernets by name, and what they leave to what is derived."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import search
from experiments.flags import cli, configs
from nasjax import data, ops, relax, space, spaces, train
from nasjax.run import inputs as inputs_lib
from nasjax.run import supernets
from nasjax.run.config import SearchConfig
from nasjax.run.workdir import metrics_file, weights
from nasjax.supernet import Supernet, inherit
from nasjax.supernet.entangled import Entangled
from tests.conftest import refused
from tests.experiments.told_cases import search_prepare, search_run

TINY = spaces.tiny(num_classes=3)
NUMERICS = ops.Numerics(lowering='native')


def _config(**options):
  return cli.defaults(search.OPTIONS) | {'limit': ['macs=60k']} | options


@pytest.mark.parametrize(
  ('relaxation', 'named', 'kind'),
  [
    ('softmax', None, 'mixed'),
    ('softmax', 'entangled', 'entangled'),
    ('straight_through', 'mixed', 'mixed'),
    ('gdas', None, 'sampled'),
    ('binary_gates', 'sampled', 'sampled'),
    ('contributions', None, 'sampled'),
  ],
)
def test_a_kind_is_the_named_one_or_that_of_the_relaxation(
  relaxation, named, kind
):
  config = _config(relax=relaxation, supernet=named, space='tiny')
  inputs = search_prepare(config)
  assert inputs.supernet == kind
  parts = inputs_lib.build(inputs)
  arrays = inputs.train, inputs.valid
  params = jax.eval_shape(
    lambda *args: inputs_lib.params_of(inputs, parts, parts.init(*args)),
    jax.random.key(0),
    *arrays,
  )
  mixed = set(inputs.space.slots[1].op_names) - {'skip'}
  own = {max(mixed)} if kind == 'entangled' else mixed
  assert set(params['stage1_1']) == own


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'supernet': 'big'}, "unknown supernet 'big'; choose from mixed, sampled"),
    (
      {'supernet': 'sampled', 'relax': 'softmax'},
      'does not go with relax=softmax, which runs all ops; give '
      'supernet=mixed or supernet=entangled',
    ),
    (
      {'supernet': 'mixed', 'relax': 'gdas'},
      'relax=gdas, which draws which ops run; give supernet=sampled',
    ),
    (
      {'supernet': 'entangled', 'relax': 'binary_gates'},
      'relax=binary_gates, which draws which ops run; give supernet=sam',
    ),
    (
      {'supernet': 'mixed'},  # As one who does not know of the default.
      'relax=contributions, which draws .*; give supernet=sampled, or '
      'relax=softmax',
    ),
  ],
)
def test_kinds_that_do_not_go_with_a_relaxation_are_refused(options, message):
  def kind():
    return supernets.kind_of(configs.of(SearchConfig, options), TINY)

  refused(message, kind)


def test_ops_that_share_no_weights_are_said_and_nothing_else_is():
  assert supernets.said(supernets.described('mixed', TINY)) == []
  assert supernets.said(supernets.described('entangled', TINY)) == []
  pooled = spaces.mobile(
    [spaces.Stage(4, 1), spaces.Stage(4, 1)],
    image_size=8,
    num_classes=2,
    stem=4,
    head=4,
    stem_stride=1,
    candidates=(ops.MBConv(3, 3), ops.MBConv(5, 3), ops.MaxPool(3)),
  )
  found = supernets.described('entangled', pooled)
  assert found == {
    'kind': 'entangled',
    'unentangled': {s: ['maxpool_k3'] for s in ('stage1_1', 'stage2_1')},
  }
  (line,) = supernets.said(found)
  assert line.endswith('stage1_1: maxpool_k3; stage2_1: maxpool_k3')


@pytest.mark.slow
@pytest.mark.parametrize(
  ('kind', 'net'), [('mixed', Supernet), ('entangled', Entangled)]
)
def test_what_is_left_is_the_supernet_at_one_hot(kind, net, draw):
  """Its accuracy is that of the supernet's own predictions on the same batch.

  With one batch for statistics and the same images to be judged on, running
  statistics are those of the batch.
  """
  a = draw(TINY)
  size = TINY.image_size
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (60, size, size, 1), np.uint8)
  arrays = data.Arrays(images, rng.integers(0, 3, 60).astype(np.int32))
  batches = data.Batches(60, (0.4,), (0.3,))
  probs = space.one_hot(a)
  x = data.normalise(jnp.asarray(images), (0.4,), (0.3,))
  supernet = net(TINY, NUMERICS)
  init = jax.jit(lambda key: supernet.init(key, x, probs, train=False))
  variables = init(jax.random.key(1))
  logits, _ = supernet.apply(
    variables, x, probs, train=True, mutable=['batch_stats']
  )
  found = supernets.inherited(
    kind, a, variables['params'], (arrays, arrays), batches, NUMERICS
  )
  network = space.fix(TINY, a)
  predict = jax.jit(train.predict(network.network(NUMERICS), batches))
  labels = predict(*found.weights, arrays.images)
  assert len(set(np.asarray(labels).tolist())) > 1
  np.testing.assert_array_equal(labels, logits.argmax(-1))
  right = float((logits.argmax(-1) == arrays.labels).mean())
  assert found.record == {
    'valid_accuracy': pytest.approx(right),
    'statistics_of': 60,
  }


@pytest.mark.slow
def test_what_is_left_is_the_same_where_images_are_streamed(draw):
  """Rows that are as large as what is cut of them are cut to themselves."""
  a = draw(TINY)
  size = TINY.image_size
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (30, size, size, 1), np.uint8)
  arrays = data.Arrays(images, rng.integers(0, 3, 30).astype(np.int32))
  batches = data.Batches(10, (0.4,), (0.3,))
  init = jax.jit(
    lambda key, probs: Supernet(TINY, NUMERICS).init(
      key, jnp.zeros((1, size, size, 1)), probs, train=False
    )
  )
  params = init(jax.random.key(1), space.one_hot(a))['params']
  decoded, streamed = (
    supernets.inherited('mixed', a, params, (half, half), batches, NUMERICS)
    for half in (arrays, list(zip(*arrays, strict=True)))
  )
  chex.assert_trees_all_equal(decoded, streamed)
  assert decoded.record['statistics_of'] == 30


@pytest.mark.slow
def test_an_entangled_search_leaves_the_weights_that_it_reports(tmp_path):
  workdir = tmp_path / 'run'
  config = _config(space='tiny', supernet='entangled', relax='softmax')
  config |= {'steps': 6, 'warmup_steps': 2, 'batch_size': 50}
  architecture = search_run(config, workdir).architecture
  record = space.read_record(workdir / 'architecture.json')
  inputs = search_prepare(config)
  network = space.fix(architecture.space, architecture)
  kept = weights.load(workdir, supernets.INHERITED, network)
  predict = jax.jit(train.predict(network.network(), inputs.batches))
  assert record['supernet'] == {
    'kind': 'entangled',
    'unentangled': {},
    'valid_accuracy': train.evaluate(predict, *kept, inputs.valid),
    'statistics_of': 800,
  }
  assert metrics_file.read(workdir)[-1]['step'] == 6


def test_a_part_of_a_mixed_supernet_is_that_of_its_ops(draw):
  a = draw(TINY)
  net = Supernet(TINY)
  x = jnp.zeros((1, TINY.image_size, TINY.image_size, 1))
  probs = relax.softmax(space.init_alphas(TINY))
  params = jax.jit(lambda k: net.init(k, x, probs, train=False))(
    jax.random.key(0)
  )['params']
  found = inherit.subweights(TINY, a, params, kind='mixed')
  for slot, own in found.items():
    chex.assert_trees_all_equal(own, {n: params[slot][n] for n in own})
