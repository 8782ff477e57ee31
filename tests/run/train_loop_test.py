"""The steps of a training: what identifies them, how often they are kept."""

import dataclasses

import jax
import numpy as np
import pytest

from nasjax import data, space, spaces, train
from nasjax.run import datasets, train_loop, training
from nasjax.run.workdir import metrics_file
from nasjax.train.recipe import Recipe
from tests.conftest import images

RECIPE = Recipe(epochs=2, batch_size=4, learning_rate=0.01)


@pytest.fixture(scope='module')
def one():
  arrays = data.Arrays(images(40), np.arange(40, dtype=np.int32) % 2)
  dataset = data.Dataset('few', arrays, arrays, ('a', 'b'))
  tiny = spaces.tiny(**dataset.sizes)
  network = tiny.fix(space.argmax(tiny, space.init_alphas(tiny)))
  batches = datasets.batches_for(RECIPE, dataset)
  return train_loop.Training(None, network, dataset, batches, RECIPE, steps=20)


def _parts(one):
  return training.build(one.network, one.dataset, one.batches, one.recipe).parts


@pytest.mark.parametrize(
  ('epochs', 'steps', 'every'), [(2, 20, 2), (6, 936, 39), (1, 3, 1)]
)
def test_four_lines_of_metrics_are_logged_in_an_epoch(
  one, epochs, steps, every
):
  recipe = dataclasses.replace(RECIPE, epochs=epochs)
  own = dataclasses.replace(one, recipe=recipe, steps=steps)
  assert own.log_every == every


def test_all_that_decides_the_weights_identifies_a_training(one):
  other = dataclasses.replace(
    one.dataset,
    test=one.dataset.test._replace(labels=1 - one.dataset.test.labels),
  )
  changed = [
    {'seed': 1},
    {'recipe': dataclasses.replace(RECIPE, learning_rate=0.02)},
    {'steps': 21},
    {'dataset': other},
  ]
  found = [dataclasses.replace(one, **fields).identity for fields in changed]
  assert len({one.identity, *found}) == 1 + len(changed)
  # Where it is kept decides nothing.
  assert dataclasses.replace(one, workdir='elsewhere').identity == one.identity


def test_steps_in_memory_and_in_a_workdir_are_the_same(one, tmp_path):
  rows = []
  state = train_loop.run(one, _parts(one), rows, None)
  assert [row['step'] for row in rows] == list(range(2, 21, 2))
  unused = []
  kept = dataclasses.replace(one, workdir=tmp_path)
  again = train_loop.run(kept, _parts(one), unused, None)
  assert not unused
  written = metrics_file.read(tmp_path)
  assert [row['step'] for row in written] == [row['step'] for row in rows]
  same = jax.tree.map(
    lambda a, b: np.array_equal(a, b),
    train.weights(state),
    train.weights(again),
  )
  assert all(jax.tree.leaves(same))
