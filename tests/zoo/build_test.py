"""All published networks: sizes, widths, JSON, training, refusals."""

import dataclasses
import inspect

import jax
import jax.numpy as jnp
import optax
import pytest

from experiments import count as count_script
from experiments.flags import names
from nasjax import cost, count, data, derive, ops, train, zoo
from nasjax.errors import InputError
from nasjax.space import Architecture, fix
from tests.zoo.zoo_cases import TOTALS, count_totals, last_map

NO_NORM = {'squeezenet_1_1'}


@pytest.mark.quick_every(3)
@pytest.mark.parametrize('name', TOTALS)
def test_any_image_size_and_number_of_classes(name):
  network = names.NETWORKS[name](image_size=97, channels=1, num_classes=7)
  if name == 'squeezenet_1_1':
    assert last_map(network) == 6  # 97, 48, 24, 12, 6
  else:
    assert last_map(network) == 4  # 97, 49, 25, 13, 7, 4
  classes = names.NETWORKS[name](num_classes=10)
  per_class = (TOTALS[name][1] - cost.params(classes).constant) / 990
  width = classes.slots[-2].features
  hidden = getattr(classes.slots[-1].ops[0], 'hidden', None)
  assert per_class == (hidden or width) + 1


@pytest.mark.quick_every(3)
@pytest.mark.parametrize('name', TOTALS)
def test_small_images_change_the_earliest_strides_alone(name):
  published = names.NETWORKS[name](image_size=32, num_classes=10)
  assert last_map(published) == 1
  adapted = zoo.small_images(published)
  if name != 'squeezenet_1_1':  # It does not pad: strides say too much.
    assert last_map(adapted) >= 2
  assert zoo.small_images(adapted) == adapted
  pairs = list(zip(published.slots, adapted.slots, strict=True))
  differ = [i for i, (a, b) in enumerate(pairs) if a != b]
  strided = [i for i, (a, _) in enumerate(pairs) if a.stride == 2]
  assert differ == strided[: len(differ)]
  for a, b in pairs:
    assert dataclasses.replace(a, stride=b.stride) == b


@pytest.mark.parametrize('name', TOTALS)
def test_json_gives_back_the_network(name, tmp_path):
  network = Architecture(names.NETWORKS[name](image_size=64), ())
  network.save(tmp_path / 'a.json')
  assert Architecture.load(tmp_path / 'a.json') == network


def _shapes(tree):
  return jax.tree.map(lambda x: (x.shape, x.dtype), tree)


# Of every kind of block one; the others are built of the same.
KINDS = (
  'mobilenet_v1',
  'mobilenet_v2',
  'mobilenet_v3_small',
  'mnasnet_a1',
  'fbnet_a',
  'proxylessnas_cpu',
  'efficientnet_lite0',
  'hardcorenas_a',
  'shufflenet_v2',
  'squeezenet_1_1',
  'resnet18',
  'resnet50',
)


@pytest.mark.drawn(3)
@pytest.mark.quick_every(12)
@pytest.mark.parametrize('name', KINDS)
def test_a_network_trains_and_derives_like_any_other(name):
  """A step of its training, gradients and statistics, is traced, not run."""
  network = names.NETWORKS[name](image_size=64, num_classes=10)
  arrays = data.Arrays(
    jax.ShapeDtypeStruct((8, 64, 64, 3), jnp.uint8),
    jax.ShapeDtypeStruct((8,), jnp.int32),
  )
  parts = train.make(
    network.network(ops.Numerics(lowering='native')),
    data.Batches(4, (0.5,) * 3, (0.3,) * 3),
    tx=optax.sgd(0.1, momentum=0.9),
  )
  key = jax.eval_shape(jax.random.key, 0)
  before = jax.eval_shape(lambda k: parts.init(k, arrays), key)
  after, metrics = jax.eval_shape(parts.step, before, arrays)
  assert _shapes(after) == _shapes(before)
  assert metrics['train_loss'].shape == ()
  assert count.params(after.params) == cost.params(network).constant
  # Batch norm keeps statistics where a network has any.
  assert bool(jax.tree.leaves(after.batch_stats)) == (name not in NO_NORM)
  # Without choices the network itself is derived, if it satisfies the limit.
  macs = cost.macs(network)
  found = derive.within(network, {}, {macs: macs.constant})
  assert fix(network, found) == network
  with pytest.raises(InputError, match='macs'):
    derive.within(network, {}, {macs: macs.constant - 1})


@pytest.mark.parametrize('name', TOTALS)
def test_what_cannot_be_is_refused(name):
  make = names.NETWORKS[name]
  bad = [{'image_size': 0}, {'channels': 0}, {'num_classes': 0}]
  if 'width' in inspect.signature(make).parameters:
    bad += [{'width': 0.0}, {'width': -1.0}, {'width': float('nan')}]
  for arguments in bad:
    with pytest.raises(InputError, match=name):
      make(**arguments)


def test_widths_that_a_network_lacks_are_refused():
  with pytest.raises(InputError, match=r'0\.5, 1, 1\.5, 2, got 0\.75'):
    names.network('shufflenet_v2', 0.75)()
  with pytest.raises(InputError, match='resnet18 comes in one width'):
    names.network('resnet18', 0.5)
  assert names.network('resnet18', 1.0)() == zoo.resnet18()
  with pytest.raises(ValueError, match='authors, torchvision'):
    zoo.mobilenet_v3_small(rule='mine')


def test_the_script_shows_layers_that_add_up():
  network = zoo.squeezenet_1_1(image_size=64, channels=1, num_classes=10)
  table = count_script.layers(network)
  assert (table.macs, table.params) == count_totals(network)
  assert sum(row.macs for row in table.rows) == table.macs


def test_scaled_widths_are_those_times_the_factor_and_all_else_stays():
  published = zoo.shufflenet_v2()
  assert zoo.scale_widths(published, 1.0, 4).slots == published.slots
  half = zoo.scale_widths(published, 0.5, 4)
  *body, classifier = half.slots
  assert classifier == published.slots[-1]
  for new, old in zip(body, published.slots, strict=False):
    assert new.features == zoo.round_to_multiple(old.features / 2, 4)
    assert dataclasses.replace(new, features=old.features) == old
  with pytest.raises(ValueError, match='squeeze in fire_s16 of squeezenet_1_1'):
    zoo.scale_widths(zoo.squeezenet_1_1(), 0.5)
