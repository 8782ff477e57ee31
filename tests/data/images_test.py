"""Cutting and resizing: windows of the image, of the sizes that are asked."""

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from nasjax.data import images
from tests.conftest import refused


def _coordinates(width, height):
  """An image whose channels say the column and the row of each pixel."""
  columns, rows = np.meshgrid(np.arange(width), np.arange(height))
  pixels = np.stack([columns, rows, np.zeros_like(rows)], axis=-1)
  return Image.fromarray(pixels.astype(np.uint8))


@pytest.mark.parametrize(('width', 'height'), [(60, 20), (20, 60), (40, 40)])
def test_a_square_is_the_middle_and_not_stretched(width, height):
  out = images.square(_coordinates(width, height), 10).astype(int)
  short = min(width, height)
  for axis, length in ((0, width), (1, height)):
    places = out[..., axis]
    middle = places.mean()
    assert middle == pytest.approx((length - 1) / 2, abs=0.6)
    # From the first to the last of 10 there are 9 steps of `short / 10`.
    reach = places.max() - places.min()
    assert reach == pytest.approx(9 * short / 10, abs=1.5)


def test_a_share_leaves_out_a_border_on_all_sides():
  out = images.square(_coordinates(80, 80), 8, share=0.5)
  assert out[..., :2].min() >= 19
  assert out[..., :2].max() <= 60


def test_an_image_of_the_size_asked_for_is_left_as_it_is():
  pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
  np.testing.assert_array_equal(
    images.square(Image.fromarray(pixels), 9), pixels
  )


def test_random_boxes_have_the_areas_and_aspects_asked_for():
  rng = np.random.default_rng(0)
  boxes = np.array(
    [images.random_box(rng, 300, 200, (0.1, 0.5), 4 / 3) for _ in range(3000)]
  )
  left, top, width, height = boxes.T
  assert left.min() >= 0 <= top.min()
  assert (left + width).max() <= 300
  assert (top + height).max() <= 200
  area, aspect = width * height / 60_000, width / height
  assert 0.099 < area.min() < 0.11
  assert 0.48 < area.max() < 0.502
  assert area.mean() == pytest.approx(0.3, abs=0.01)
  assert 0.74 < aspect.min() < 0.77
  assert 1.30 < aspect.max() < 1.35
  assert np.log(aspect).mean() == pytest.approx(0, abs=0.01)
  # Anywhere: whatever its size, a box is as often left as right.
  centre = (left + width / 2) / 300
  assert centre.mean() == pytest.approx(0.5, abs=0.02)
  assert centre.std() > 0.1


def test_where_no_draw_fits_it_is_the_largest_square_in_the_middle():
  rng = np.random.default_rng(0)
  box = images.random_box(rng, 1000, 10, (1.0, 1.0), 4 / 3)
  assert box == (495, 0, 10, 10)


def test_a_random_square_is_a_window_of_the_image():
  rng = np.random.default_rng(0)
  whole = _coordinates(200, 150)
  spans = []
  for _ in range(50):
    out = images.random_square(whole, 16, rng, area=(0.2, 0.8)).astype(int)
    assert out.shape == (16, 16, 3)
    columns, rows = out[..., 0], out[..., 1]
    # Straight, upright and not mirrored, up to the rounding of pixels.
    assert (abs(columns - columns[:1]) <= 1).all()
    assert (abs(rows - rows[:, :1]) <= 1).all()
    assert (np.diff(columns, axis=1) > 0).all()
    assert (np.diff(rows, axis=0) > 0).all()
    assert columns.max() < 200
    assert rows.max() < 150
    spans.append((columns[0, 0], rows[0, 0]))
  assert len(set(spans)) > 40


def test_more_images_than_the_memory_holds_are_refused():
  refused(
    r'photos: 1281167000 images of 224 x 224 x 3 need 179607 GiB, this machine '
    r'has \d+; give a smaller image_size, or stream',
    images.check_memory,
    'photos',
    1_281_167_000,
    (224, 224, 3),
  )


# Reading.


def _saved(path, pixels, mode=None, **options):
  picture = Image.fromarray(np.asarray(pixels))
  if mode is not None:
    picture = picture.convert(mode)
  picture.save(path, **options)
  return path


def _broken(match, path):
  with pytest.raises(images.BrokenError, match=match) as caught:
    images.read(path)
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize('factor', [1, 1000, 30_000_000, -1])
@pytest.mark.parametrize('compression', [None, 'tiff_lzw'])
def test_integers_of_32_bits_are_refused(tmp_path, factor, compression):
  pixels = factor * np.arange(64, dtype=np.int32).reshape(8, 8)
  path = _saved(tmp_path / 'a.tif', pixels, compression=compression)
  _broken('its pixels are 32-bit integers.*save it with 8 or 16', path)
  with pytest.raises(images.BrokenError, match='32-bit integers'):
    images.header(path)


def test_integers_of_32_bits_are_refused_in_astronomy_files(tmp_path):
  pixels = np.arange(64, dtype='>i4').reshape(8, 8)
  cards = ['SIMPLE  = T', 'BITPIX  = 32', 'NAXIS   = 2', 'NAXIS1  = 8']
  cards += ['NAXIS2  = 8', 'END']
  head = ''.join(card.ljust(80) for card in cards).ljust(2880).encode()
  (tmp_path / 'a.fits').write_bytes(head + pixels.tobytes().ljust(2880, b'\0'))
  _broken('its pixels are 32-bit integers', tmp_path / 'a.fits')


@pytest.mark.parametrize('name', ['a.eps', 'a.png'])
def test_no_other_program_is_run_on_a_file(tmp_path, monkeypatch, name):
  run = []
  monkeypatch.setattr(EpsImagePlugin, 'Ghostscript', lambda *a: run.append(a))
  Image.fromarray(_SHAPE).save(tmp_path / 'a.eps')
  (tmp_path / 'a.eps').rename(tmp_path / name)
  _broken('it is PostScript', tmp_path / name)
  with pytest.raises(images.BrokenError, match='it is PostScript'):
    images.header(tmp_path / name)
  assert not run


def test_of_16_bits_the_upper_8_are_kept(tmp_path):
  pixels = np.arange(0, 65536, 256, dtype=np.uint16).reshape(16, 16) + 255
  for name in ('a.tif', 'a.png', 'a.pgm'):
    path = _saved(tmp_path / name, pixels)
    np.testing.assert_array_equal(np.asarray(images.read(path)), pixels >> 8)
    assert images.header(path).grey
  # As a file with a sign says it: the bits are the same.
  signed = tmp_path / 'signed.tif'
  positive = np.minimum(pixels, 32767)
  _saved(signed, positive, tiffinfo={339: 2})
  np.testing.assert_array_equal(np.asarray(images.read(signed)), positive >> 8)
  _saved(signed, pixels, tiffinfo={339: 2})
  _broken('its pixels go down to -32513; save it without a sign', signed)


_SHAPE = np.zeros((8, 8), np.uint8)
_SHAPE[2:6, 3:5] = 255


@pytest.mark.parametrize(
  ('mode', 'suffix'),
  [
    ('RGBA', 'png'),
    ('LA', 'png'),
    ('RGBA', 'webp'),
    ('RGBA', 'tif'),
    ('PA', 'tif'),
    ('P', 'png'),
  ],
)
@pytest.mark.parametrize('colour', [0, 255])
def test_a_picture_in_its_transparency_alone_is_refused(
  tmp_path, mode, suffix, colour
):
  path, options = tmp_path / f'a.{suffix}', {}
  if mode == 'P':
    picture = Image.fromarray(_SHAPE // 255).convert('P')
    picture.putpalette([colour] * 6)
    options = {'transparency': b'\x00\xff'}
  else:
    picture = Image.new('RGB', (8, 8), (colour,) * 3).convert(mode)
    picture.putalpha(Image.fromarray(_SHAPE))
  if suffix == 'webp':
    options = {'lossless': True, 'exact': True}
  picture.save(path, **options)
  _broken('its picture is in its transparency alone; save it on a back', path)


def test_transparency_is_dropped_where_colours_show_the_picture(tmp_path):
  path = tmp_path / 'a.png'
  # White on what is transparent black, as programs leave it.
  drawn = np.dstack([_SHAPE] * 4)
  even = np.full((8, 8, 4), 7, np.uint8)  # One colour, but nothing is hidden.
  for pixels in (drawn, even):
    Image.fromarray(pixels).save(path)
    np.testing.assert_array_equal(
      np.asarray(images.read(path)), pixels[..., :3]
    )


def test_channels_that_cannot_be_resized_are_refused():
  pixels = np.zeros((8, 8, 5), np.uint8)
  refused('images of 5 channels cannot be resized', images.of_pixels, pixels)
  for channels in (1, 3, 4):
    picture = images.of_pixels(pixels[..., :1].repeat(channels, -1))
    assert images.square(picture, 4).shape == (4, 4, channels)
