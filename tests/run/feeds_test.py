"""How images come to the steps of a search: in two streams, looked at ahead."""

import json
import types

import numpy as np
import pytest

from experiments import search
from experiments.flags import cli
from nasjax import data, guard, space
from nasjax.data import stream, stream_batches
from nasjax.run import (
  feeds,
  guards,
  holdout,
  search_loop,
)
from nasjax.run.config import SearchConfig
from nasjax.run.workdir import metrics_file
from tests.conftest import images, prepare_tfds, refused
from tests.experiments.told_cases import search_run
from tests.run.run_cases import FEW

pytest.importorskip('grain')
SHAPE = (6, 6, 3)


class _Wide:
  """Rows whose pixels differ, so that one sees which part was cut."""

  def __init__(self, n):
    self.n = n

  def __len__(self):
    return self.n

  def __getitem__(self, place):
    rng = np.random.default_rng(place)
    return rng.integers(0, 256, (20, 30, 3), np.uint8), np.int32(place)


def _streamed(n):
  rows = _Wide(n)
  names = tuple(str(i) for i in range(n))
  return stream.Streamed('wide', rows, rows, names, 'test', SHAPE)


def _same(one, other):
  for a, b in zip(one, other, strict=True):
    np.testing.assert_array_equal(a, b)


def _labels(feed, count):
  return [feed.next().labels.tolist() for _ in range(count)]


# One stream.


def test_who_looks_ahead_changes_nothing():
  plain, looked = (feeds.of(_Wide(30), 4, SHAPE, seed=0) for _ in range(2))
  for step in range(12):
    if step % 3:
      _same(looked.peek(), looked.peek())
      seen = looked.peek()
      assert looked.position.get_state() == plain.position.get_state()
      _same(looked.next(), seen)
    else:
      seen = looked.next()
    _same(plain.next(), seen)


@pytest.mark.parametrize('peeked', [False, True])
def test_a_new_stream_goes_on_with_what_was_looked_at(peeked):
  whole = feeds.of(_Wide(30), 4, SHAPE, seed=0)
  _labels(whole, 5)
  if peeked:
    whole.peek()
  state = json.loads(json.dumps(whole.position.get_state()))
  expected = _labels(whole, 9)
  again = feeds.of(_Wide(30), 4, SHAPE, seed=0)
  again.peek()  # What was looked at before it is told where to stand.
  again.position.set_state(state)
  assert _labels(again, 9) == expected


def test_resident_images_are_given_whole_and_stand_nowhere():
  arrays = data.Arrays(images(9), np.arange(9, dtype=np.int32))
  one = feeds.of(arrays, 4, (8, 8, 1), seed=0)
  assert one.next() is one.peek() is one.like
  other = feeds.of(_Wide(30), 4, SHAPE, seed=0)
  assert set(feeds.position(train=one, valid=other).get_state()) == {'valid'}
  assert feeds.position(train=one, valid=one) is None
  assert feeds.position(train=other, valid=other) is not None


def test_images_without_a_cut_are_those_of_a_test_in_another_order():
  drawn = feeds.of(_Wide(12), 12, SHAPE, seed=0, crop_area=None)
  (plain,) = stream_batches.once(_Wide(12), 12, 6)
  for _ in range(2):
    one = drawn.next()
    assert one.labels.tolist() != list(range(12))
    _same([part[np.argsort(one.labels)] for part in one], plain)


# The halves.


@pytest.mark.parametrize('n', [2, 9, 40])
def test_halves_of_a_stream_are_disjoint_and_make_up_the_whole(n):
  sides = holdout.halves(_streamed(n), seed=0)
  one, other = ([int(half[i][1]) for i in range(len(half))] for half in sides)
  assert sorted(one + other) == list(range(n))
  assert 0 <= len(one) - len(other) <= 1
  same = holdout.halves(_streamed(n), seed=0)
  assert one == [int(same[0][i][1]) for i in range(len(same[0]))]


def test_the_seed_decides_which_images_alphas_learn_from():
  drawn = [holdout.halves(_streamed(40), seed)[1].places for seed in (0, 1)]
  assert (drawn[0] != drawn[1]).any()


def test_a_single_image_has_no_halves():
  refused('1 training images; at least 2', holdout.halves, _streamed(1), 0)


# What the steps are given.


class _Told:
  """A program that is ready, and writes down the labels that it is given."""

  def __init__(self, found):
    self.given, self.found = [], found

  def result(self, timeout=None):
    return self

  def __call__(self, state, *batches):
    self.given.append([batch.labels.tolist() for batch in batches])
    return self.found(state)


def test_alphas_look_ahead_to_the_batch_that_weights_take_next():
  """And what is measured is measured on the next batch of the alphas."""
  train, valid = (feeds.of(_Wide(30), 4, SHAPE, seed=s) for s in (0, 1))
  weights, alphas = (_Told(lambda state: (state, {})) for _ in range(2))
  eigenvalue = _Told(lambda state: 1.0)
  rule = guard.any_of()
  advance = search_loop.stepper(
    2,
    guards.Guarded(guard.Guards(), rule, 1),
    search_loop.Programs(weights, alphas, eigenvalue),
    {},
    train,
    valid,
  )
  state = types.SimpleNamespace(alphas={})
  run = search_loop.Run(state, rule.init({}))
  for step in range(1, 11):
    run, _ = advance(run, step)
  train, valid = (feeds.of(_Wide(30), 4, SHAPE, seed=s) for s in (0, 1))
  own, held = _labels(train, 11), _labels(valid, 9)
  assert [given[0] for given in weights.given] == own[:10]
  assert alphas.given == [
    list(pair) for pair in zip(own[3:], held[:8], strict=True)
  ]
  assert [given[0] for given in eigenvalue.given] == held[1:]


def test_images_are_cut_at_random_for_weights_alone():
  train, valid = holdout.halves(_streamed(24), seed=0)
  inputs = types.SimpleNamespace(
    train=train,
    valid=valid,
    dataset=types.SimpleNamespace(crop_area=0.1, image_shape=(6, 6, 3)),
    config=SearchConfig(relax='softmax'),
    batches=types.SimpleNamespace(size=12, sharding=None),
  )
  for half, fed, whole in zip(
    (train, valid), search_loop.fed(inputs), (False, True), strict=True
  ):
    (plain,) = stream_batches.once(half, 12, 6)
    drawn = fed.next()
    order = np.argsort(drawn.labels)
    _same(drawn.labels[order], plain.labels)
    assert (drawn.images[order] == plain.images).all() == whole


# The script.


def _search(root, workdir, **options):
  given = {
    'dataset': 'colours',
    'data_dir': str(root),
    'stream': True,
    'space': 'tiny',
    'limit': ['macs=60k'],
    'steps': 12,
    'warmup_steps': 3,
    'batch_size': 6,
    'log_every': 1,
    'checkpoint_every': 3,
    **FEW,
  }
  config = cli.defaults(search.OPTIONS) | given | options
  return search_run(config, workdir).architecture


@pytest.mark.slow
def test_a_streamed_search_that_is_killed_ends_where_it_would_have(
  tmp_path, monkeypatch, drawn
):
  prepare_tfds(tmp_path, images(60, 12, 3), np.arange(60) % 3)
  step_of, last = search_loop.stepper, drawn.randint(4, 12)

  def stepper(*args, **kwargs):
    advance = step_of(*args, **kwargs)

    def or_killed(run, step):
      if step == last:
        raise KeyboardInterrupt
      return advance(run, step)

    return or_killed

  whole, again = tmp_path / 'whole', tmp_path / 'again'
  found = _search(tmp_path, whole)
  with monkeypatch.context() as patch:
    patch.setattr(search_loop, 'stepper', stepper)
    with pytest.raises(KeyboardInterrupt):
      _search(tmp_path, again)
  assert _search(tmp_path, again) == found, last
  one, other = (metrics_file.read(d) for d in (whole, again))
  assert one == other, last
  one, other = (
    space.read_record(d / 'architecture.json') for d in (whole, again)
  )
  assert one == other


def test_what_a_streamed_search_cannot_do_is_refused(tmp_path):
  prepare_tfds(tmp_path, images(60, 12, 3), np.arange(60) % 3)
  cases = [
    ({'batch_size': 31}, 'batch_size is 31; with 30 examples'),
    ({'dataset': 'folder:x', 'data_dir': None}, '--stream reads sets of TFDS'),
    ({'stream': False, 'crop_area': 0.5}, 'crop_area=0.5 has no effect'),
  ]
  for given, message in cases:
    refused(message, _search, tmp_path, tmp_path / 'run', **given)
  assert not (tmp_path / 'run').exists()


# Single networks are judged on the same images in every step.


@pytest.mark.parametrize(('wanted', 'number'), [(5, 5), (400, 30)])
def test_streamed_images_of_networks_are_read_once(wanted, number):
  config = SearchConfig(network_images=wanted, networks=40)
  streamed = _streamed(60)
  train, valid = holdout.halves(streamed, 0)
  inputs = types.SimpleNamespace(
    config=config,
    dataset=streamed,
    train=train,
    valid=valid,
    batches=types.SimpleNamespace(size=4, sharding=None),
  )
  learnt, judged = search_loop.fed(inputs)
  first = judged.next()
  assert first.images.shape == (number, *SHAPE)
  assert len(set(first.labels.tolist())) == number
  assert set(first.labels.tolist()) <= {int(valid[i][1]) for i in range(30)}
  _same(judged.next(), first)
  assert _labels(learnt, 2)[0] != _labels(learnt, 2)[1]
  # Only what streams has a position.
  kept = feeds.position(train=learnt, valid=judged)
  assert set(kept.get_state()) == {'train'}
