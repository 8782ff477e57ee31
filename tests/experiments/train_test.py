"""The script that trains: what it records, cutouts, bad recipes."""

import json

import jax
import numpy as np
import pytest

from experiments import search, train
from experiments.flags import cli, configs
from nasjax import (
  data,
)
from nasjax.run import (
  datasets,
)
from nasjax.run.config import SearchConfig
from nasjax.train.recipe import Recipe
from tests.conftest import refused
from tests.experiments.script_cases import (
  call,
  newest_state,
  without_command,
)
from tests.experiments.told_cases import search_prepare


@pytest.mark.slow
def test_a_training_is_recorded_and_evaluated_as_recorded(searched, tmp_path):
  given = {'architecture': str(searched / 'architecture.json'), 'epochs': 3}
  given |= {'ema_decay': 0.99, 'valid_fraction': 0.2, 'drop_path': 0.1}
  train.train_as_told(configs.of(train.Flags, given), tmp_path, '')
  result = without_command(tmp_path / 'result.json')
  batch_size = result['recipe']['batch_size']
  assert newest_state(tmp_path)[0] == 3 * (4000 // batch_size)
  assert result['test_images'] == 10_000
  assert json.loads((tmp_path / 'best.json').read_text())
  out = call('train', f'--workdir={tmp_path}', '--evaluate')
  for name in ('last', 'best'):
    accuracy = f'accuracy {result[f"{name}_test_accuracy"]!r} on 10000 images'
    assert f'{accuracy}, as recorded: {name} weights' in out


def _first_images(arrays, batches):
  sampler = data.sampler_init(jax.random.key(0), len(arrays.labels))
  return batches(sampler, arrays, jax.random.key(1))[0]


@pytest.mark.quick_every(2)
@pytest.mark.parametrize('script', ['search', 'train'])
def test_a_cutout_is_black_in_images_that_are_otherwise_the_same(script):
  arrays = data.load().train

  def images(cutout):
    if script == 'train':
      recipe = Recipe(cutout=cutout)
      batches = datasets.batches_for(recipe, data.load())
    else:
      given = {'space': 'tiny', 'limit': ['macs=60k'], 'cutout': cutout}
      config = cli.defaults(search.OPTIONS) | given
      batches = search_prepare(config).batches
    return np.asarray(_first_images(arrays, batches))

  whole, cut = images(0), images(14)
  differ = whole != cut
  assert differ.any(axis=(1, 2, 3)).all()
  assert (cut[differ] == cut.min()).all()


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'network': 'alexnet'}, "unknown network 'alexnet'; choose from"),
    ({}, 'give either architecture=FILE or network=NAME'),
    ({'network': 'mobilenet_v2', 'width': 0.0}, r'width in \(0, 4\]'),
    ({'architecture': 'nowhere.json'}, 'No such file'),
    ({'architecture': 'a.json', 'width': 0.5}, 'width=0.5 has no effect'),
    ({'network': 'mobilenet_v2', 'ops': 'my_ops'}, 'ops=my_ops has no eff'),
  ],
)
def test_bad_network_flags_are_one_line(options, message):
  named = train.Named(**options)
  refused(message, train.network_for, named, data.load())


@pytest.mark.parametrize(
  'options',
  [
    {'batch_size': 5001},
    {'cutout': -1},
    {'cutout': 29},
    {'erasing': 1.5},
    {'mixup': -1.0},
  ],
)
def test_recipes_that_do_not_go_with_the_images_are_one_line(options):
  (name,) = options
  recipe = configs.of(Recipe, cli.defaults(train.OPTIONS) | options)
  refused(name, datasets.batches_for, recipe, data.load())


@pytest.mark.parametrize('options', [{'epochs': 0}, {'smoothing': 1.0}])
def test_bad_recipes_are_one_line(options):
  (name,) = options
  given = cli.defaults(train.OPTIONS) | options
  refused(name, configs.of, Recipe, given)


def test_decays_and_rates_reach_their_own_optimizer():
  """With gradients of 0, what is left of the first step is the decay."""
  given = {'limit': ['macs=60k'], 'space': 'tiny', 'steps': 240}
  zeros = {'a': np.zeros((2, 2), np.float32)}
  ones = {'a': np.ones((2, 2), np.float32)}
  moved = {}
  for decay in (0.0, 1e-3):
    given |= {'alpha_weight_decay': decay, 'alpha_learning_rate': 0.07}
    tx = configs.of(SearchConfig, given).alpha_tx
    updates, _ = tx.update(zeros, tx.init(ones), ones)
    moved[decay] = float(updates['a'][0, 0])
  assert moved[0.0] == 0
  assert moved[1e-3] == pytest.approx(-0.07, rel=1e-3)  # Adam's first step.
