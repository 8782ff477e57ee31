"""Augmentation of training images, each kind by its property."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import data, space, spaces, supernet, train
from nasjax.data import augment
from tests.conftest import images as _images
from tests.conftest import refused as _refused

_augment = jax.jit(augment.augment, static_argnums=2)


@pytest.mark.parametrize('channels', [1, 3])
def test_each_crop_is_a_window_of_the_padded_image(channels):
  images = _images(300, 8, channels)
  out = np.asarray(_augment(jax.random.key(0), images, augment.Augment(pad=2)))
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
    _augment(jax.random.key(0), images, augment.Augment(flip=True))
  )
  same = (out == images).all(axis=(1, 2, 3))
  mirrored = (out == images[:, :, ::-1]).all(axis=(1, 2, 3))
  assert (same ^ mirrored).all()
  assert abs(mirrored.mean() - 0.5) < 5 * (0.25 / 2000) ** 0.5


@pytest.mark.parametrize('size', [1, 3, 4, 8])
def test_a_cutout_is_one_black_square_and_no_more(size):
  images = _images(500, 8, 3)
  policy = augment.Augment(cutout=size)
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
  out = _augment(jax.random.key(0), images, augment.Augment(cutout=1))
  count = (1 - np.asarray(out, int)).sum(axis=0)
  # 400 each; five standard deviations of a binomial count.
  assert (abs(count - 400) < 5 * (6400 / 16 * 15 / 16) ** 0.5).all()


def _erased(erasing, n=2000, size=16, key=0):
  """Which pixels of black images are not so any more, `bool[n, size, size]`.

  One of 2^24 erased pixels stays black by chance.
  """
  images = jnp.zeros((n, size, size, 3), jnp.uint8)
  policy = augment.Augment(erasing=erasing)
  return np.asarray(_augment(jax.random.key(key), images, policy)).any(axis=-1)


def test_erasing_overwrites_one_rectangle_of_the_papers_sizes():
  areas, ratios = [], []
  for mask in _erased(1.0):
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert mask.sum() == len(rows) * len(columns) > 0  # A filled rectangle.
    np.testing.assert_array_equal(np.diff(rows), 1)
    np.testing.assert_array_equal(np.diff(columns), 1)
    areas.append(mask.mean())
    ratios.append(len(rows) / len(columns))
  # Edges are rounded to whole pixels: of 2 % of 256 pixels, by up to a third.
  assert 0.01 < min(areas) < 0.03
  assert 0.36 < max(areas) < 0.45
  assert np.mean(areas) == pytest.approx(0.21, abs=0.01)
  assert 0.15 < min(ratios) < 0.5 < 2 < max(ratios) < 7
  assert np.mean(np.log(ratios)) == pytest.approx(0, abs=0.1)


def test_erasing_reaches_every_pixel_alike_on_both_sides_and_all_edges():
  hit = _erased(1.0, n=4000).mean(axis=0)
  assert hit[[0, 0, -1, -1], [0, -1, 0, -1]].min() > 0.01
  # Five standard deviations of the difference of two binomial shares.
  for mirrored in (hit[::-1], hit[:, ::-1], hit.T):
    assert abs(hit - mirrored).max() < 5 * (2 * 0.25 / 4000) ** 0.5


def test_erasing_fills_with_noise_and_leaves_the_rest():
  images = jnp.asarray(_images(400, 16, 3))
  policy = augment.Augment(erasing=0.25)
  out = np.asarray(_augment(jax.random.key(0), images, policy))
  assert out.dtype == np.uint8
  changed = (out != images).any(axis=(1, 2, 3))
  assert abs(changed.mean() - 0.25) < 5 * (0.25 * 0.75 / 400) ** 0.5
  pixels = (out != images).any(axis=-1)
  noise = out[pixels].astype(float)
  assert noise.mean() == pytest.approx(127.5, abs=5)
  assert noise.std() == pytest.approx(73.9, abs=5)  # Uniform on 0 to 255.
  for channel in (1, 2):
    together = np.corrcoef(noise[:, 0], noise[:, channel])[0, 1]
    assert abs(together) < 0.1


# Mixing.

_mix = jax.jit(augment.mix, static_argnums=3)


def _batch(n=32, classes=5):
  images = jnp.asarray(_images(n, 4, 3), jnp.float32)
  return images, jax.nn.one_hot(np.arange(n) % classes, classes)


@pytest.mark.slow
def test_mixing_conserves_the_mass_of_images_and_labels():
  images, labels = _batch()
  for key in range(10):
    mixed, shares = _mix(jax.random.key(key), images, labels, 0.4)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(
      shares.sum(axis=0), labels.sum(axis=0), rtol=1e-6
    )
    np.testing.assert_allclose(mixed.sum(axis=0), images.sum(axis=0), rtol=1e-5)
    assert (mixed != images).any()


def test_each_image_is_mixed_with_one_other_by_the_share_of_the_batch():
  images, _ = _batch(16)
  # Each image is a class, so that labels say what was mixed.
  mixed, shares = _mix(jax.random.key(3), images, jnp.eye(16), 1.0)
  assert ((shares > 0).sum(axis=1) <= 2).all()
  own = np.diagonal(shares)
  share = own[own < 1]
  np.testing.assert_allclose(share, share[0], rtol=1e-6)
  expected = np.tensordot(shares, images, axes=1)
  np.testing.assert_allclose(mixed, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize('mixup', [0.2, 1.0])
def test_the_share_is_of_a_beta_distribution(mixup):
  images, labels = jnp.zeros((2, 1, 1, 1)), jnp.eye(2)
  keys = jax.random.split(jax.random.key(0), 4000)
  _, shares = jax.vmap(lambda k: augment.mix(k, images, labels, mixup))(keys)
  drawn = np.asarray(shares[:, 0, 0])
  drawn = drawn[drawn < 1]  # Half of the orders pair each with itself.
  assert drawn.mean() == pytest.approx(0.5, abs=0.04)
  # The variance of Beta(a, a) is 1 / (4 (2 a + 1)).
  variance = 1 / (4 * (2 * mixup + 1))
  assert drawn.var() == pytest.approx(variance, rel=0.1)


@pytest.mark.slow
def test_nothing_of_it_touches_what_is_evaluated():
  network = spaces.tiny(image_size=8, num_classes=3)
  network = space.fix(
    network, space.argmax(network, space.init_alphas(network))
  )
  policy = augment.Augment(2, True, cutout=4, erasing=1.0, mixup=1.0)
  plain = data.Batches(4, (0.5,), (0.25,))
  wild = data.Batches(4, (0.5,), (0.25,), policy, 3)
  images = _images(64)
  net = supernet.Supernet(network)
  variables = net.init(
    jax.random.key(0), jnp.zeros((1, 8, 8, 1)), {}, train=False
  )
  one, other = (
    jax.jit(train.predict(network.network(), batches))(
      variables['params'], variables.get('batch_stats', {}), images
    )
    for batches in (plain, wild)
  )
  np.testing.assert_array_equal(one, other)
  assert len(set(one.tolist())) > 1
  logits = net.apply(
    variables, data.normalise(images, (0.5,), (0.25,)), {}, train=False
  )
  np.testing.assert_array_equal(one, logits.argmax(-1))


# All together.


def test_all_together_is_crop_then_flip_then_cutout():
  images = jnp.asarray(_images(64, 8, 3))
  key = jax.random.key(5)
  step = images
  for policy in (augment.Augment(pad=2), augment.Augment(flip=True)):
    step = _augment(key, step, policy)
  step = _augment(key, step, augment.Augment(cutout=4))
  whole = _augment(key, images, augment.Augment(pad=2, flip=True, cutout=4))
  np.testing.assert_array_equal(whole, step)


def test_augmentation_is_drawn_from_the_key_alone():
  images = jnp.asarray(_images(16))
  policy = augment.Augment(pad=2, flip=True, cutout=3)
  one, same, other = (
    np.asarray(_augment(jax.random.key(k), images, policy)) for k in (0, 0, 1)
  )
  np.testing.assert_array_equal(one, same)
  assert (one != other).any()


def test_a_policy_of_nothing_is_the_identity():
  images = _images(4)
  out = _augment(jax.random.key(0), images, augment.Augment())
  np.testing.assert_array_equal(out, images)


def test_an_image_stays_in_its_place_next_to_its_label():
  # Constant images, whose grey value is their label.
  labels = np.arange(1, 201, dtype=np.int32)
  images = np.broadcast_to(labels.reshape(-1, 1, 1, 1), (200, 6, 6, 1))
  arrays = data.Arrays(images.astype(np.uint8), labels)
  images, labels = data.take(arrays, np.arange(199, -1, -1))
  policy = augment.Augment(pad=2, flip=True, cutout=2)
  out = np.asarray(_augment(jax.random.key(0), images, policy))
  np.testing.assert_array_equal(out.max(axis=(1, 2, 3)), labels)


def test_impossible_policies_are_refused():
  _refused('pad is -1 pixels', augment.Augment, pad=-1)
  _refused('cutout is -2 pixels', augment.Augment, cutout=-2)
  for share in (-0.1, 1.1, float('nan')):
    _refused(f'erasing is {share}; it must', augment.Augment, erasing=share)
  for mixup in (-0.1, float('inf'), float('nan')):
    _refused(f'mixup is {mixup}; it must', augment.Augment, mixup=mixup)
  policy = augment.Augment(cutout=9)
  images = _images(2)
  _refused('at most 8', augment.augment, jax.random.key(0), images, policy)


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
  policy = augment.augment_for(name, size)
  assert policy == augment.Augment(pad=pad, flip=flip)
  assert hash(policy) == hash(augment.Augment(pad=pad, flip=flip))


@pytest.mark.parametrize('labels', [jnp.ones(4), jnp.ones((1, 3))])
def test_labels_that_are_mixed_are_shares_of_each_image(labels):
  with pytest.raises(AssertionError, match=r'rank|shape'):
    augment.mix(jax.random.key(0), jnp.ones((4, 2, 2, 1)), labels, 0.2)
