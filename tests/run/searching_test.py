"""Searches and trainings that a program calls, with a workdir and without."""

import dataclasses
import functools

import chex
import numpy as np
import pytest

from nasjax import constraint, cost, data, space, spaces
from nasjax.run import search_loop, searching
from nasjax.run.config import SearchConfig
from nasjax.run.finished import Taught
from nasjax.run.train_network import train_network
from tests.conftest import images, refused
from tests.run.run_cases import FEW

TINY = spaces.tiny(num_classes=3)
MACS = cost.macs(TINY)
LIMITS = {MACS: 8000}
SET = data.from_arrays(images(60), np.arange(60) % 3)
KEEP = functools.partial(constraint.keep, form='hinge', number=2.0)
SMALL = {'steps': 6, 'warmup_steps': 2, 'batch_size': 8, 'log_every': 1}
SMALL |= {'constraint': KEEP, 'progress': False, **FEW}
TRAINED = {'epochs': 2, 'batch_size': 12, 'progress': False}
TRAINED |= {'valid_fraction': 0.25}


def _search(workdir=None, limits=None, **fields):
  return searching.search(
    TINY, SET, limits=limits or LIMITS, workdir=workdir, **SMALL | fields
  )


def _train(network, workdir=None, **given):
  return train_network(network, SET, workdir=workdir, **TRAINED | given)


@pytest.fixture(scope='module')
def kept(tmp_path_factory):
  """A search in a workdir."""
  workdir = tmp_path_factory.mktemp('searching') / 'run'
  return workdir, _search(workdir)


@pytest.fixture(scope='module')
def network():
  a = space.Architecture.from_indices(TINY, [0] * len(TINY.choices))
  return space.fix(TINY, a)


@pytest.mark.slow
def test_a_search_is_the_same_with_a_workdir_and_without(
  kept, tmp_path, monkeypatch, capsys
):
  workdir, found = kept
  monkeypatch.chdir(tmp_path)
  bare = _search()
  assert not list(tmp_path.iterdir())
  assert capsys.readouterr() == ('', '')
  read = _search(workdir)
  assert read.weights is None
  chex.assert_trees_all_equal(found.weights, bare.weights)
  for one in (bare, read):
    assert one.architecture == found.architecture
    assert one.metrics == found.metrics
    assert [row['step'] for row in one.metrics] == [1, 2, 3, 4, 5, 6]
    assert one.certificate == found.certificate
    chex.assert_trees_all_equal(one.alphas, found.alphas)
  assert MACS.exact(found.architecture) <= LIMITS[MACS]
  assert found.certificate.kept['macs'].cost == MACS.exact(found.architecture)


@pytest.mark.slow
def test_other_limits_are_those_of_the_same_alphas(kept):
  _, found = kept
  low, _ = MACS.bounds()
  cheap = found.within({MACS: low})
  assert MACS.exact(cheap.architecture) == low
  assert cheap.certificate.kept['macs'].limit == low
  assert (cheap.alphas, cheap.record) == (found.alphas, {})
  refused('no architecture', found.within, {MACS: low - 1})


PATHS = {'relax': 'contributions', 'weight_rate': 0.0, 'network_images': 20}
PATHS |= {'networks_per_step': 4, 'networks': 12, 'constraint': 'project_equal'}


def _by_paths(workdir=None, **fields):
  given = {**SMALL, **PATHS, 'steps': 8, 'warmup_steps': 3, **fields}
  return searching.search(TINY, SET, limits=LIMITS, workdir=workdir, **given)


@pytest.mark.slow
def test_frozen_weights_stay_and_alphas_learn_from_networks(
  tmp_path, monkeypatch
):
  found = _by_paths()
  shorter = _by_paths(steps=4)
  # One more alpha step or five: the weights are those of the warm-up.
  chex.assert_trees_all_equal(found.weights, shorter.weights)
  assert ['train_loss' in row for row in found.metrics] == [True] * 3 + [
    False
  ] * 5
  assert all('valid_loss' in row for row in found.metrics[3:])
  assert found.metrics[-1]['macs'] == pytest.approx(LIMITS[MACS], rel=1e-3)
  for score in found.alphas.values():
    assert 0 < abs(score).max() < 10
  assert MACS.exact(found.architecture) <= LIMITS[MACS]
  # Scores know nothing of the limit: another one is derived from them.
  low, _ = MACS.bounds()
  assert MACS.exact(found.within({MACS: low}).architecture) == low

  # Stopped among the alpha steps, it goes on bit for bit.
  step_of = search_loop.stepper

  def until_six(*args, **kwargs):
    advance = step_of(*args, **kwargs)

    def or_stopped(run, step):
      if step == 7:
        raise KeyboardInterrupt
      return advance(run, step)

    return or_stopped

  with monkeypatch.context() as patch:
    patch.setattr(search_loop, 'stepper', until_six)
    with pytest.raises(KeyboardInterrupt):
      _by_paths(tmp_path / 'run', checkpoint_every=2)
  resumed = _by_paths(tmp_path / 'run', checkpoint_every=2)
  assert resumed.architecture == found.architecture
  assert resumed.metrics == found.metrics
  chex.assert_trees_all_equal(resumed.alphas, found.alphas)
  chex.assert_trees_all_equal(resumed.weights, found.weights)


def test_numbers_of_networks_are_checked():
  for fields, says in (
    ({'networks_per_step': 13}, 'networks_per_step is 13; it must be at most'),
    ({'networks': 0}, 'networks is 0'),
    ({'networks': 4}, 'networks is 4; tiny has 4 free options'),
    ({'weight_rate': 1.5}, 'weight_rate is 1.5; it must be 0 to 1'),
    ({'warmup_steps': 0}, 'weight_rate=0.0 needs weights that have learnt'),
    ({'relax': 'gdas'}, 'has no effect with relax=gdas'),
    ({'final_temperature': 0.5}, 'final_temperature=0.5 has no effect'),
    ({'order': 'second'}, 'order=second needs a relaxation that runs all ops'),
  ):
    refused(says, _by_paths, **fields)


def test_a_cost_of_the_same_name_is_another_run(kept):
  workdir, _ = kept
  double = dataclasses.replace(
    MACS,
    tables=tuple(
      dataclasses.replace(t, values=tuple(2 * v for v in t.values))
      for t in MACS.tables
    ),
  )
  refused('limits_content was', _search, workdir, {double: 8000})
  refused('learning_rate was', _search, workdir, learning_rate=0.01)


def test_a_constraint_is_described_alike_in_every_process():
  told = SearchConfig(constraint=KEEP).described()['constraint']
  assert told == [
    'nasjax.constraint.forms.keep',
    {'form': 'hinge', 'number': 2.0},
  ]


@pytest.mark.slow
def test_a_training_is_the_same_with_a_workdir_and_without(
  network, tmp_path, monkeypatch
):
  (tmp_path / 'here').mkdir()
  monkeypatch.chdir(tmp_path / 'here')
  bare, kept = _train(network), _train(network, tmp_path / 'run')
  assert not list((tmp_path / 'here').iterdir())
  assert bare.metrics == kept.metrics
  assert [row['step'] for row in kept.metrics] == [1, 2, 3, 4, 5, 6]
  again = _train(network, tmp_path / 'run')
  for one in (bare, again):
    assert one.result == kept.result
    chex.assert_trees_all_equal(one.weights, kept.weights)
  labels = kept.predict(SET.test.images)
  right = (labels == SET.test.labels).mean()
  assert kept.test_accuracy == pytest.approx(right)
  refused('uint8.n, 8, 8, 1.', kept.predict, SET.test.images[:, 1:])


def test_another_share_of_a_teacher_is_another_run(network, tmp_path):
  """Its weights alone do not say how much of its loss counts."""
  train = functools.partial(_train, network, tmp_path / 'run')
  train()
  record = {'content': None, 'distill_weight': 0.9}
  refused('teacher was None', train, taught=Taught(record=record))


def test_a_space_with_choices_is_not_trained(tmp_path):
  refused('leaves a choice in stage1_1', _train, TINY, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('name', ['image_size', 'channels', 'num_classes'])
def test_a_space_of_other_sizes_is_refused(name):
  """Before a step is taken, and before a network is trained."""
  sizes = SET.sizes | {name: SET.sizes[name] + 2}
  other = spaces.tiny(**sizes)
  message = f'tiny has {name}={sizes[name]}, arrays has {SET.sizes[name]}'
  limits = {cost.macs(other): 8000}
  refused(message, searching.search, other, SET, limits=limits, progress=False)
  a = space.Architecture.from_indices(other, [0] * len(other.choices))
  refused(message, _train, other.fix(a))


@pytest.mark.parametrize(
  ('given', 'message'),
  [
    ({'limits': {'macs': 1e6}}, 'it must map costs'),
    ({'limits': 1e6}, 'it must map costs'),
    ({'limits': {cost.macs(spaces.tiny()): 1e6}}, 'is a cost of'),
    ({'dataset': images(6)}, 'a tuple of images and labels'),
    ({'dataset': (images(6),)}, 'a tuple of images and labels'),
  ],
)
def test_what_cannot_be_searched_is_refused_at_once(given, message):
  told = {'dataset': SET, 'limits': LIMITS, 'progress': False} | given
  refused(message, searching.search, TINY, **told)


@pytest.mark.parametrize('relax', ['contributions', 'softmax'])
def test_a_space_without_a_choice_is_refused(relax, tmp_path):
  a = space.Architecture.from_indices(TINY, [0] * len(TINY.choices))
  only = TINY.fix(a)
  refused(
    'one option everywhere',
    searching.search,
    only,
    SET,
    limits={cost.macs(only): 1e9},
    relax=relax,
    workdir=tmp_path / 'run',
    progress=False,
  )
  assert not (tmp_path / 'run').exists()
