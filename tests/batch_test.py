"""Batches: sampling, augmentation, normalisation, each by its property."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import images as _images
from conftest import refused as _refused

from nasjax import batch, data


@pytest.fixture(scope='module')
def embedded():
  return data.load()


# Sampling.


def _draw(sampler, batch_size, count):
  draw = jax.jit(batch.sampler_next, static_argnums=1)
  batches = []
  for _ in range(count):
    indices, sampler = draw(sampler, batch_size)
    batches.append(np.asarray(indices))
  return np.stack(batches), sampler


def test_an_epoch_has_every_index_once_and_each_has_its_own_order():
  batches, _ = _draw(batch.sampler_init(jax.random.key(0), 60), 12, 15)
  epochs = batches.reshape(3, 60)
  assert batches.dtype == np.int32
  for epoch in epochs:
    np.testing.assert_array_equal(np.sort(epoch), np.arange(60))
  assert len({tuple(epoch) for epoch in epochs}) == 3


def test_the_incomplete_tail_of_an_epoch_is_dropped():
  batches, _ = _draw(batch.sampler_init(jax.random.key(1), 10), 4, 40)
  for epoch in batches.reshape(20, 8):
    assert len(set(epoch)) == 8
  # Nothing is dropped for good: the tail is another one each time.
  assert set(batches.ravel()) == set(range(10))


def test_the_first_place_of_an_epoch_is_uniform():
  keys = jax.random.split(jax.random.key(2), 4000)
  order = jax.vmap(lambda key: batch.sampler_init(key, 4).order)(keys)
  count = np.bincount(np.asarray(order[:, 0]), minlength=4)
  # Five standard deviations of a binomial count.
  assert (abs(count - 1000) < 5 * (4000 * 0.25 * 0.75) ** 0.5).all()


def test_a_restored_sampler_goes_on_bit_for_bit():
  _, sampler = _draw(batch.sampler_init(jax.random.key(3), 50), 16, 5)
  leaves, tree = jax.tree.flatten(
    sampler._replace(key=jax.random.key_data(sampler.key))
  )
  saved = [np.asarray(leaf).copy() for leaf in leaves]
  expected, _ = _draw(sampler, 16, 9)
  restored = jax.tree.unflatten(tree, [jnp.asarray(leaf) for leaf in saved])
  restored = restored._replace(key=jax.random.wrap_key_data(restored.key))
  np.testing.assert_array_equal(_draw(restored, 16, 9)[0], expected)


def test_sampling_is_the_same_with_and_without_jit():
  sampler = batch.sampler_init(jax.random.key(4), 9)
  jitted, _ = _draw(sampler, 4, 5)
  plain = []
  for _ in range(5):
    indices, sampler = batch.sampler_next(sampler, 4)
    plain.append(indices)
  np.testing.assert_array_equal(np.stack(plain), jitted)


def test_only_the_beginning_of_an_epoch_sorts():
  sampler = batch.sampler_init(jax.random.key(0), 8)
  jaxpr = jax.make_jaxpr(lambda s: batch.sampler_next(s, 4))(sampler)
  top = {eqn.primitive.name for eqn in jaxpr.eqns}
  assert 'cond' in top
  # The branches' own equations stand in the cond's parameters, not here.
  assert not {'sort', 'random_split', 'random_bits'} & top


def test_impossible_batches_are_refused():
  sampler = batch.sampler_init(jax.random.key(0), 8)
  for size in (0, 9):
    _refused(
      f'batch_size is {size}; with 8 examples it must be 1 to 8',
      batch.sampler_next,
      sampler,
      size,
    )
  _refused('cannot sample from 0', batch.sampler_init, jax.random.key(0), 0)


def test_take_gives_images_and_labels_of_the_same_rows():
  images, labels = _images(20), np.arange(20, dtype=np.int32)
  arrays = jax.device_put(data.Arrays(images, labels))
  indices = np.array([7, 0, 19, 7])
  picked, their = jax.jit(batch.take)(arrays, indices)
  np.testing.assert_array_equal(picked, images[indices])
  np.testing.assert_array_equal(their, indices)
  assert picked.dtype == jnp.uint8
  assert their.dtype == jnp.int32


# Augmentation.

_augment = jax.jit(batch.augment, static_argnums=2)


@pytest.mark.parametrize('channels', [1, 3])
def test_each_crop_is_a_window_of_the_padded_image(channels):
  images = _images(300, 8, channels)
  out = np.asarray(_augment(jax.random.key(0), images, batch.Augment(pad=2)))
  assert out.dtype == np.uint8
  padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
  shifts = collections.Counter()
  for image, window in zip(padded, out, strict=True):
    matches = [
      (i, j)
      for i in range(5)
      for j in range(5)
      if (image[i : i + 8, j : j + 8] == window).all()
    ]
    assert len(matches) == 1
    shifts.update(matches)
  # All 25 shifts come, none of them far more often than 300 / 25 = 12.
  assert len(shifts) == 25
  assert max(shifts.values()) < 35


def test_a_flip_is_an_exact_mirror_of_half_of_the_images():
  images = _images(2000, 4, 3)
  out = np.asarray(
    _augment(jax.random.key(0), images, batch.Augment(flip=True))
  )
  same = (out == images).all(axis=(1, 2, 3))
  mirrored = (out == images[:, :, ::-1]).all(axis=(1, 2, 3))
  assert (same ^ mirrored).all()
  assert abs(mirrored.mean() - 0.5) < 5 * (0.25 / 2000) ** 0.5


@pytest.mark.parametrize('size', [1, 3, 4, 8])
def test_a_cutout_is_one_black_square_and_no_more(size):
  images = _images(500, 8, 3)
  policy = batch.Augment(cutout=size)
  out = np.asarray(_augment(jax.random.key(0), images, policy))
  black = (out == 0).all(axis=-1)
  np.testing.assert_array_equal(out[~black], images[~black])
  sizes = set()
  for mask in black:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    for places in (rows, columns):
      np.testing.assert_array_equal(np.diff(places), 1)  # One run.
    assert mask.sum() == len(rows) * len(columns)  # A filled rectangle.
    sizes |= {len(rows), len(columns)}
    # Shorter than the edge only where the border cuts it.
    for places in (rows, columns):
      if len(places) < size:
        assert 0 in places or 7 in places
  assert max(sizes) == size
  assert min(sizes) >= 1


def test_a_cutout_is_anywhere_with_equal_chance():
  images = jnp.ones((6400, 4, 4, 1), jnp.uint8)
  out = _augment(jax.random.key(0), images, batch.Augment(cutout=1))
  count = (1 - np.asarray(out, int)).sum(axis=0)
  # 400 each; five standard deviations of a binomial count.
  assert (abs(count - 400) < 5 * (6400 / 16 * 15 / 16) ** 0.5).all()


def test_all_together_is_crop_then_flip_then_cutout():
  images = jnp.asarray(_images(64, 8, 3))
  key = jax.random.key(5)
  step = images
  for policy in (batch.Augment(pad=2), batch.Augment(flip=True)):
    step = _augment(key, step, policy)
  step = _augment(key, step, batch.Augment(cutout=4))
  whole = _augment(key, images, batch.Augment(pad=2, flip=True, cutout=4))
  np.testing.assert_array_equal(whole, step)


def test_augmentation_is_drawn_from_the_key_alone():
  images = jnp.asarray(_images(16))
  policy = batch.Augment(pad=2, flip=True, cutout=3)
  one, same, other = (
    np.asarray(_augment(jax.random.key(k), images, policy)) for k in (0, 0, 1)
  )
  np.testing.assert_array_equal(one, same)
  assert (one != other).any()


def test_a_policy_of_nothing_is_the_identity():
  images = _images(4)
  out = _augment(jax.random.key(0), images, batch.Augment())
  np.testing.assert_array_equal(out, images)


def test_an_image_stays_in_its_place_next_to_its_label():
  # Constant images, whose grey value is their label.
  labels = np.arange(1, 201, dtype=np.int32)
  images = np.broadcast_to(labels.reshape(-1, 1, 1, 1), (200, 6, 6, 1))
  arrays = data.Arrays(images.astype(np.uint8), labels)
  images, labels = batch.take(arrays, np.arange(199, -1, -1))
  policy = batch.Augment(pad=2, flip=True, cutout=2)
  out = np.asarray(_augment(jax.random.key(0), images, policy))
  np.testing.assert_array_equal(out.max(axis=(1, 2, 3)), labels)


def test_impossible_policies_are_refused():
  _refused('pad is -1 pixels', batch.Augment, pad=-1)
  _refused('cutout is -2 pixels', batch.Augment, cutout=-2)
  policy = batch.Augment(cutout=9)
  images = _images(2)
  _refused('at most 8', batch.augment, jax.random.key(0), images, policy)


@pytest.mark.parametrize(
  ('name', 'size', 'pad', 'flip'),
  [
    ('fashion_mnist_5k', 28, 1, True),
    ('fashion_mnist', 28, 1, True),
    ('cifar10:3.*.*', 32, 4, True),
    ('imagenette', 64, 8, True),
    ('mnist', 28, 1, False),
    ('mnist:3.0.1', 28, 1, False),
    ('emnist/letters', 28, 1, False),
    ('svhn_cropped', 32, 4, False),
    ('visual_domain_decathlon/gtsrb', 72, 9, False),
  ],
)
def test_default_policy_never_mirrors_text(name, size, pad, flip):
  policy = batch.augment_for(name, size)
  assert policy == batch.Augment(pad=pad, flip=flip)
  assert hash(policy) == hash(batch.Augment(pad=pad, flip=flip))


# Normalisation.


def test_statistics_are_those_of_the_closed_form():
  # Channel 0 is 51 (0.2) three times out of four, else 255: mean 0.4, variance
  # 0.75 * 0.2^2 + 0.25 * 0.6^2 = 0.12. Channel 1 never varies.
  images = np.full((8, 2, 2, 2), 51, np.uint8)
  images[::4, ..., 0] = 255
  images[1::4, ..., 0] = 51
  mean, std = batch.statistics(images, chunk=3)
  assert mean == pytest.approx((0.4, 0.2), rel=1e-12)
  assert std == pytest.approx((0.12**0.5, 1.0), rel=1e-12)


def test_statistics_do_not_depend_on_chunks_and_agree_with_float64(embedded):
  images = embedded.train.images
  mean, std = batch.statistics(images)
  assert (mean, std) == batch.statistics(jnp.asarray(images), chunk=999)
  scaled = images.astype(np.float64) / 255
  assert mean[0] == pytest.approx(scaled.mean(), rel=1e-12)
  assert std[0] == pytest.approx(scaled.std(), rel=1e-12)


def test_normalised_images_have_mean_0_and_deviation_1():
  images = _images(500, 8, 3) // np.uint8([1, 2, 4])
  out = jax.jit(batch.normalise)(images, *batch.statistics(images))
  assert out.dtype == jnp.float32
  out = np.asarray(out, np.float64)
  np.testing.assert_allclose(out.mean(axis=(0, 1, 2)), 0, atol=1e-5)
  np.testing.assert_allclose(out.std(axis=(0, 1, 2)), 1, rtol=1e-5)


def test_a_step_runs_under_strict_promotion_and_float64():
  images = _images(8, 8, 3)
  arrays = data.Arrays(images, np.arange(8, dtype=np.int32))

  def step(sampler, key):
    indices, sampler = batch.sampler_next(sampler, 4)
    images, labels = batch.take(arrays, indices)
    policy = batch.Augment(pad=1, flip=True, cutout=2)
    images = batch.augment(key, images, policy)
    return batch.normalise(images, (0.5,) * 3, (0.2,) * 3), labels, sampler

  with (
    jax.numpy_rank_promotion('raise'),
    jax.numpy_dtype_promotion('strict'),
    jax.enable_x64(True),
  ):
    sampler = batch.sampler_init(jax.random.key(0), 8)
    out, labels, after = jax.jit(step)(sampler, jax.random.key(1))
  assert out.dtype == jnp.float32
  assert labels.dtype == jnp.int32
  assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, sampler)
  assert after.order.dtype == after.position.dtype == jnp.int32
