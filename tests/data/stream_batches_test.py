"""Streamed batches: every row once, the same for whoever goes on."""

import contextlib
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from nasjax.data.stream_batches import once, sample, train_batches
from tests.children import child
from tests.conftest import refused as _refused
from tests.data.stream_cases import Numbers, draw, numbered, same

pytest.importorskip('grain')
ROOT = pathlib.Path(__file__).resolve().parents[2]


# Training.


def test_an_epoch_has_every_row_once_in_an_order_of_its_own():
  images, labels = draw(train_batches(Numbers(60), 12, 4, seed=0), 15)
  assert images.shape == (15, 12, 4, 4, 1)
  assert images.dtype == np.uint8
  assert labels.dtype == np.int32
  assert (images == labels[..., None, None, None]).all()  # Labels follow.
  epochs = labels.reshape(3, 60)
  for epoch in epochs:
    np.testing.assert_array_equal(np.sort(epoch), np.arange(60))
  assert len({tuple(epoch) for epoch in epochs}) == 3


def test_no_row_is_left_out_where_batches_do_not_divide_the_rows():
  labels = draw(train_batches(Numbers(10), 4, 4, seed=0), 10).labels
  for epoch in labels.reshape(4, 10):
    np.testing.assert_array_equal(np.sort(epoch), np.arange(10))


def test_the_stream_depends_on_the_seed_alone():
  rows = _Wide(50)
  one, alike, other = (
    draw(train_batches(rows, 8, 6, seed=seed), 4) for seed in (1, 1, 2)
  )
  same(one, alike)
  assert (one.labels != other.labels).any()


class _Wide(Numbers):
  """Rows whose pixels differ, so that one sees which part was cut."""

  def __getitem__(self, place):
    rng = np.random.default_rng(place)
    return rng.integers(0, 256, (20, 30, 3), np.uint8), np.int32(place)


def test_the_cuts_of_a_row_differ_by_the_epoch():
  images, labels = draw(train_batches(_Wide(8), 8, 6, seed=0), 5)
  for place in range(8):
    cuts = images[labels == place]
    assert len({cut.tobytes() for cut in cuts}) == 5


@pytest.mark.parametrize('done', [1, 7, 20])
def test_a_new_iterator_goes_on_where_the_last_one_was(done):
  whole = train_batches(_Wide(50), 8, 6, seed=3)
  draw(whole, done)
  state = json.loads(json.dumps(whole.get_state()))
  expected = draw(whole, 9)
  again = train_batches(_Wide(50), 8, 6, seed=3)
  again.set_state(state)
  same(draw(again, 9), expected)
  draw(again, 2)
  again.set_state(state)  # Back, while what follows is read ahead.
  same(draw(again, 9), expected)


@pytest.mark.parametrize('count', [2, 3])
def test_processes_share_out_the_batches_of_one(count):
  together = draw(train_batches(_Wide(50), 6 * count, 6, seed=0), 12)
  for i in range(count):
    own = train_batches(
      _Wide(50), 6, 6, seed=0, process_index=i, process_count=count
    )
    own = draw(own, 12)
    same(own, [part[:, i::count] for part in together])


PROCESS = """
import json, sys
from nasjax.data import stream
from nasjax.data.stream_batches import train_batches
directory, index = sys.argv[1], int(sys.argv[2])
rows = stream.open_set('colours', directory).train
batches = train_batches(
  rows, 6, 8, seed=0, process_index=index, process_count=2)
drawn = [next(batches) for _ in range(5)]
print(json.dumps([b.images[:, 0, 0, 0].tolist() for b in drawn]))
"""


@pytest.mark.slow
def test_two_processes_have_no_row_in_common_and_all_of_them_together(tmp_path):
  numbered(tmp_path)
  command = [sys.executable, '-c', PROCESS, tmp_path]
  options = {'cwd': ROOT, 'stdout': subprocess.PIPE, 'text': True}
  with contextlib.ExitStack() as ends:
    running = [
      ends.enter_context(child([*command, str(i)], **options)) for i in range(2)
    ]
    drawn = [json.loads(p.communicate(timeout=200)[0]) for p in running]
  one, other = (set(np.ravel(rows).tolist()) for rows in drawn)
  assert len(one) == len(other) == 30
  assert not one & other
  assert one | other == set(range(60))


# The test.


def test_the_test_has_all_rows_in_order_and_nothing_random():
  batches = list(once(Numbers(23), 10, 4))
  assert [len(labels) for _, labels in batches] == [10, 10, 3]
  labels = np.concatenate([labels for _, labels in batches])
  np.testing.assert_array_equal(labels, np.arange(23))
  for _ in range(2):
    for one, other in zip(batches, once(Numbers(23), 10, 4), strict=True):
      same(one, other)


def test_of_test_images_a_border_is_left_out_if_they_are_large():
  class Framed(Numbers):
    def __getitem__(self, place):
      pixels = np.zeros((80, 80, 1), np.uint8)
      pixels[4:-4, 4:-4] = 255
      return pixels, np.int32(0)

  (large,) = once(Framed(2), 2, 40)
  assert large.images[:, 1:-1, 1:-1].min() == 255
  (native,) = once(Framed(2), 2, 80)
  same(native.images[0], Framed(2)[0][0])


def test_the_sample_for_statistics_is_from_everywhere():
  rows = Numbers(200)
  assert sample(rows, 4, 500).shape == (200, 4, 4, 1)
  some = sample(rows, 4, 5)[:, 0, 0, 0]
  assert some.tolist() == [0, 49, 99, 149, 199]


def test_arguments_out_of_range_are_refused():
  rows = Numbers(20)
  cases = [
    ({'size': 0}, 'batch_size is 0 in each of 1 processes; with 20'),
    ({'size': 21}, 'it must be 1 to 20'),
    ({'size': 11, 'process_count': 2}, 'it must be 1 to 10'),
    ({'process_index': 2, 'process_count': 2}, 'process_index is 2; of 2'),
    ({'area': (0.0, 1.0)}, 'is 0.0 to 1.0; it must be above 0'),
    ({'area': (0.5, 0.4)}, 'is 0.5 to 0.4'),
  ]
  for given, message in cases:
    options = {'size': 4, 'image_size': 8, 'seed': 0} | given
    _refused(message, train_batches, rows, **options)
