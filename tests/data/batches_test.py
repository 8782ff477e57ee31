"""Batches: sampling, normalisation, mixing, each by its property."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import data
from nasjax.data import augment
from tests.conftest import images as _images
from tests.conftest import refused as _refused

# Sampling.


def _draw(sampler, batch_size, count):
  draw = jax.jit(data.sampler_next, static_argnums=1)
  batches = []
  for _ in range(count):
    indices, sampler = draw(sampler, batch_size)
    batches.append(np.asarray(indices))
  return np.stack(batches), sampler


def test_an_epoch_has_every_index_once_and_each_has_its_own_order():
  batches, _ = _draw(data.sampler_init(jax.random.key(0), 60), 12, 15)
  epochs = batches.reshape(3, 60)
  assert batches.dtype == np.int32
  for epoch in epochs:
    np.testing.assert_array_equal(np.sort(epoch), np.arange(60))
  assert len({tuple(epoch) for epoch in epochs}) == 3


def test_the_incomplete_tail_of_an_epoch_is_dropped():
  batches, _ = _draw(data.sampler_init(jax.random.key(1), 10), 4, 40)
  for epoch in batches.reshape(20, 8):
    assert len(set(epoch)) == 8
  # Nothing is dropped for good: the tail is another one each time.
  assert set(batches.ravel()) == set(range(10))


def test_the_first_place_of_an_epoch_is_uniform():
  keys = jax.random.split(jax.random.key(2), 4000)
  order = jax.vmap(lambda key: data.sampler_init(key, 4).order)(keys)
  count = np.bincount(np.asarray(order[:, 0]), minlength=4)
  # Five standard deviations of a binomial count.
  assert (abs(count - 1000) < 5 * (4000 * 0.25 * 0.75) ** 0.5).all()


def test_a_restored_sampler_goes_on_bit_for_bit():
  _, sampler = _draw(data.sampler_init(jax.random.key(3), 50), 16, 5)
  leaves, tree = jax.tree.flatten(
    sampler._replace(key=jax.random.key_data(sampler.key))
  )
  saved = [np.asarray(leaf).copy() for leaf in leaves]
  expected, _ = _draw(sampler, 16, 9)
  restored = jax.tree.unflatten(tree, [jnp.asarray(leaf) for leaf in saved])
  restored = restored._replace(key=jax.random.wrap_key_data(restored.key))
  np.testing.assert_array_equal(_draw(restored, 16, 9)[0], expected)


def test_sampling_is_the_same_with_and_without_jit():
  sampler = data.sampler_init(jax.random.key(4), 9)
  jitted, _ = _draw(sampler, 4, 5)
  plain = []
  for _ in range(5):
    indices, sampler = data.sampler_next(sampler, 4)
    plain.append(indices)
  np.testing.assert_array_equal(np.stack(plain), jitted)


def test_only_the_beginning_of_an_epoch_sorts():
  sampler = data.sampler_init(jax.random.key(0), 8)
  jaxpr = jax.make_jaxpr(lambda s: data.sampler_next(s, 4))(sampler)
  top = {eqn.primitive.name for eqn in jaxpr.eqns}
  assert 'cond' in top
  # The branches' own equations stand in the cond's parameters, not here.
  assert not {'sort', 'random_split', 'random_bits'} & top


def test_impossible_batches_are_refused():
  sampler = data.sampler_init(jax.random.key(0), 8)
  for size in (0, 9):
    _refused(
      f'batch_size is {size}; with 8 examples it must be 1 to 8',
      data.sampler_next,
      sampler,
      size,
    )
  _refused('cannot sample from 0', data.sampler_init, jax.random.key(0), 0)


def test_take_gives_images_and_labels_of_the_same_rows():
  images, labels = _images(20), np.arange(20, dtype=np.int32)
  arrays = jax.device_put(data.Arrays(images, labels))
  indices = np.array([7, 0, 19, 7])
  picked, their = jax.jit(data.take)(arrays, indices)
  np.testing.assert_array_equal(picked, images[indices])
  np.testing.assert_array_equal(their, indices)
  assert picked.dtype == jnp.uint8
  assert their.dtype == jnp.int32


# Normalisation.


def test_statistics_are_those_of_the_closed_form():
  # Channel 0 is 51 (0.2) three times out of four, else 255: mean 0.4, variance
  # 0.75 * 0.2^2 + 0.25 * 0.6^2 = 0.12. Channel 1 never varies.
  images = np.full((8, 2, 2, 2), 51, np.uint8)
  images[::4, ..., 0] = 255
  images[1::4, ..., 0] = 51
  mean, std = data.statistics(images, chunk=3)
  assert mean == pytest.approx((0.4, 0.2), rel=1e-12)
  assert std == pytest.approx((0.12**0.5, 1.0), rel=1e-12)


def test_statistics_do_not_depend_on_chunks_and_agree_with_float64(embedded):
  images = embedded.train.images
  mean, std = data.statistics(images)
  assert (mean, std) == data.statistics(jnp.asarray(images), chunk=999)
  scaled = images.astype(np.float64) / 255
  assert mean[0] == pytest.approx(scaled.mean(), rel=1e-12)
  assert std[0] == pytest.approx(scaled.std(), rel=1e-12)


def test_normalised_images_have_mean_0_and_deviation_1():
  images = _images(500, 8, 3) // np.uint8([1, 2, 4])
  out = jax.jit(data.normalise)(images, *data.statistics(images))
  assert out.dtype == jnp.float32
  out = np.asarray(out, np.float64)
  np.testing.assert_allclose(out.mean(axis=(0, 1, 2)), 0, atol=1e-5)
  np.testing.assert_allclose(out.std(axis=(0, 1, 2)), 1, rtol=1e-5)


@pytest.mark.quick_every(2)
@pytest.mark.parametrize('mixup', [0.0, 0.2])
def test_a_step_runs_under_strict_promotion_and_float64(mixup):
  images = _images(8, 8, 3)
  arrays = data.Arrays(images, np.arange(8, dtype=np.int32))
  policy = augment.Augment(1, True, cutout=2, erasing=0.5, mixup=mixup)
  batches = data.Batches(4, (0.5,) * 3, (0.2,) * 3, policy, 8)

  with (
    jax.numpy_rank_promotion('raise'),
    jax.numpy_dtype_promotion('strict'),
    jax.enable_x64(True),
  ):
    sampler = data.sampler_init(jax.random.key(0), 8)
    out, labels, after = jax.jit(batches)(sampler, arrays, jax.random.key(1))
  assert out.dtype == jnp.float32
  assert labels.dtype == (jnp.float32 if mixup else jnp.int32)
  assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, sampler)
  assert after.order.dtype == after.position.dtype == jnp.int32


# Mixing, on the way to the network.


def _mixed(mixup, keys):
  """Batches of constant images, whose grey value is their label."""
  labels = np.arange(10, dtype=np.int32)
  images = np.broadcast_to(labels.reshape(-1, 1, 1, 1) * 25, (10, 6, 6, 1))
  arrays = data.Arrays(images.astype(np.uint8), labels)
  policy = augment.Augment(mixup=mixup)
  draw = jax.jit(data.Batches(10, (0.5,), (0.25,), policy, 10))
  sampler = data.sampler_init(jax.random.key(0), 10)
  for key in range(keys):
    images, labels, _ = draw(sampler, arrays, jax.random.key(key))
    yield np.asarray(images, np.float64) * 0.25 + 0.5, np.asarray(labels)


def test_labels_are_mixed_as_their_images_are():
  for images, labels in _mixed(1.0, 20):
    assert labels.shape == (10, 10)
    value = labels @ np.arange(10) * 25 / 255
    np.testing.assert_allclose(
      images,
      np.broadcast_to(value.reshape(-1, 1, 1, 1), images.shape),
      atol=1e-5,
    )


def test_a_batch_that_is_not_mixed_keeps_its_labels_as_numbers():
  ((images, labels),) = _mixed(0.0, 1)
  assert labels.dtype == np.int32
  np.testing.assert_allclose(images[:, 0, 0, 0] * 255, labels * 25, atol=1e-4)


def test_mixing_needs_to_know_the_classes():
  policy = augment.Augment(mixup=0.2)
  _refused('num_classes is 0', data.Batches, 4, (0.5,), (0.2,), policy)


# Shapes that would broadcast.


@pytest.mark.parametrize(
  ('mean', 'std'), [((0.5,), (0.5,) * 3), ((0.5,) * 3, (1.0,))]
)
def test_there_is_a_mean_and_a_deviation_for_each_channel(mean, std):
  images = _images(2, 4, 3)
  with pytest.raises(AssertionError, match='dimension'):
    jax.eval_shape(lambda x: data.normalise(x, mean, std), images)
  grey = _images(2, 4, 1)
  with pytest.raises(AssertionError, match='dimension'):
    data.normalise(jnp.asarray(grey), (0.5,) * 3, (0.5,) * 3)


def test_statistics_are_of_images_with_channels():
  with pytest.raises(AssertionError, match='rank'):
    data.statistics(_images(5, 4, 1)[..., 0])


def test_rows_are_taken_from_as_many_labels_as_images():
  arrays = data.Arrays(_images(5, 4, 1), np.arange(4, dtype=np.int32))
  with pytest.raises(AssertionError, match='shape'):
    jax.eval_shape(data.take, arrays, np.arange(2))
