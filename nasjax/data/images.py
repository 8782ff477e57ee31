"""Pictures of any kind and size to square ones of one size.

Files are read with Pillow. Squares are cut first and resized then, so that
nothing is stretched; resizing looks at every pixel that it covers.

Example:
  >>> wide = Image.fromarray(np.full((10, 30, 3), 255, np.uint8))
  >>> square(wide, 8).shape
  (8, 8, 3)
"""

import os
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps

from nasjax import files
from nasjax.errors import InputError

# What Pillow raises for bytes that are no image, or no whole one: it has no
# error of its own, and its readers let through what they stumble on.
_BROKEN = (
  OSError,
  SyntaxError,
  ValueError,
  EOFError,
  LookupError,
  TypeError,
  Warning,
  Image.DecompressionBombError,
)


class BrokenError(ValueError):
  """A file that cannot be read as an image; says why, in one line."""


class Header(NamedTuple):
  """Facts about an image, from the header of its file.

  Attributes:
    width: width in pixels, as stored.
    height: height in pixels, as stored.
    grey: whether it has no colours.
  """

  width: int
  height: int
  grey: bool


def header(path: str | os.PathLike) -> Header:
  """Reads the beginning of a file.

  Raises:
    BrokenError: it is no image, one of more than 16 bits, or a program.
  """
  try:
    with _opened(path) as image:
      return Header(image.width, image.height, _is_grey(image))
  except _BROKEN as error:
    raise _broken(error, path) from error


def read(path: str | os.PathLike) -> Image.Image:
  """Reads a file whole: upright, 8 bits, grey ('L') or in colours ('RGB').

  Transparency is dropped; of 16 bits the upper 8 are kept; of an animation the
  first picture.

  Raises:
    BrokenError: it is no image, a part of one, one of more than 16 bits, or its
      picture would be lost with its transparency.
  """
  try:
    with _opened(path) as image:
      image.load()
      return _plain(_upright(image))
  except _BROKEN as error:
    raise _broken(error, path) from error


def _opened(path: str | os.PathLike) -> Image.Image:
  """Opens a regular file whose pixels can be brought to 8 bits."""
  files.check_regular(path)
  image = Image.open(path)
  if image.format == 'EPS':
    image.close()
    # Whatever the name of the file is, Pillow would run Ghostscript on it.
    raise BrokenError('it is PostScript, which is a program; save it as PNG')
  if image.mode == 'I' and not _is_short(image):
    image.close()
    raise BrokenError(
      'its pixels are 32-bit integers, of which none is known to be white; '
      'save it with 8 or 16'
    )
  return image


def _is_short(image: Image.Image) -> bool:
  """Whether integers of 32 bits in memory are of at most 16 in the file."""
  if image.format == 'TIFF':
    # Loaded with the first TIFF, and not before.
    from PIL.TiffImagePlugin import TiffImageFile

    if isinstance(image, TiffImageFile):
      return max(image.tag_v2[ExifTags.Base.BitsPerSample]) <= 16
  return image.format == 'PPM'  # Its reader scales to 16 bits.


def _broken(error: BaseException, path: str | os.PathLike) -> BrokenError:
  # What they say may end in the path, which the caller names.
  text = getattr(error, 'strerror', None) or str(error)
  text = text.replace(f' {os.fspath(path)!r}', '')
  return BrokenError(' '.join(text.split())[:100] or type(error).__name__)


def _is_grey(image: Image.Image) -> bool:
  return image.mode in ('1', 'L', 'LA', 'La') or image.mode.startswith('I')


def _upright(image: Image.Image) -> Image.Image:
  """Turned as the camera says it was held."""
  try:
    return ImageOps.exif_transpose(image)
  except Exception:  # Broken EXIF, of which there are many, spoils no pixel.
    return image


def _plain(image: Image.Image) -> Image.Image:
  if image.mode == 'F':
    raise BrokenError('its pixels are floating-point numbers')
  if image.mode.startswith('I'):
    pixels = np.asarray(image).astype(np.int64)
    if pixels.min() < 0:
      raise BrokenError(
        f'its pixels go down to {pixels.min()}; save it without a sign'
      )
    return Image.fromarray(np.clip(pixels >> 8, 0, 255).astype(np.uint8))
  if image.mode == 'P' and 'transparency' in image.info:
    image = image.convert('RGBA')  # Straight to RGB, Pillow warns.
  plain = image.convert('L' if _is_grey(image) else 'RGB')
  alpha = image.getbands()[-1]
  if alpha in ('A', 'a') and _is_even(plain):
    if not _is_even(image.getchannel(alpha)):
      raise BrokenError(
        'its picture is in its transparency alone; save it on a background'
      )
  return plain


def _is_even(image: Image.Image) -> bool:
  """Whether all pixels are the same."""
  ranges = [channel.getextrema() for channel in image.split()]
  return all(low == high for low, high in ranges)


def of_pixels(pixels: np.ndarray) -> Image.Image:
  """`uint8[height, width]` or `uint8[height, width, 1, 3 or 4]` as an image.

  Raises:
    InputError: another number of channels, which cannot be resized.
  """
  if pixels.ndim == 3 and pixels.shape[-1] == 1:
    pixels = pixels[..., 0]
  if pixels.ndim == 3 and pixels.shape[-1] not in (3, 4):
    raise InputError(
      f'images of {pixels.shape[-1]} channels cannot be resized; only those of '
      '1, 3 or 4 can'
    )
  return Image.fromarray(pixels)


def check_memory(what: str, images: int, shape: tuple[int, ...]) -> None:
  """Raises InputError where so many images are more than the machine holds.

  Asked for more, most systems give it, and end the process later.

  Example:
    >>> check_memory('mnist', 60_000, (28, 28, 1))
  """
  needed = images * int(np.prod(shape, dtype=np.int64))
  there = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
  if needed > there:
    raise InputError(
      f'data set {what}: {images} images of {" x ".join(map(str, shape))} need '
      f'{needed / 2**30:.0f} GiB, this machine has {there / 2**30:.0f}; give a '
      'smaller image_size, or stream a TFDS set'
    )


def square(image: Image.Image, size: int, share: float = 1.0) -> np.ndarray:
  """The middle of an image.

  Args:
    image: of 8 bits.
    size: edge of the result in pixels.
    share: of the shorter edge that is kept. Tests on ImageNet keep 0.875, as
      224 of 256 pixels (Krizhevsky et al. 2012, section 2).

  Returns:
    `uint8[size, size, channels]`.

  Example:
    >>> grey = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4))
    >>> square(grey, 2, share=0.5)[..., 0].tolist()
    [[5, 6], [9, 10]]
  """
  edge = share * min(image.size)
  left, top = (image.width - edge) / 2, (image.height - edge) / 2
  return _resized(image, size, (left, top, left + edge, top + edge))


def middle(image: Image.Image, size: int, least: float) -> np.ndarray:
  """The middle of an image without a border, as far as that does not enlarge.

  Args:
    image: of 8 bits.
    size: edge of the result in pixels.
    least: fraction of the shorter edge that is kept at least.

  Returns:
    `uint8[size, size, channels]`.

  Example:
    >>> grey = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4))
    >>> middle(grey, 2, least=0.5)[..., 0].tolist()
    [[5, 6], [9, 10]]
    >>> middle(grey, 4, least=0.5)[0, :, 0].tolist()
    [0, 1, 2, 3]
  """
  return square(image, size, max(least, min(1.0, size / min(image.size))))


def random_square(
  image: Image.Image,
  size: int,
  rng: np.random.Generator,
  area: tuple[float, float] = (0.08, 1.0),
  aspect: float = 4 / 3,
) -> np.ndarray:
  """A random part of an image, resized (Szegedy et al. 2015, section 6).

  Args:
    image: of 8 bits.
    size: edge of the result in pixels.
    rng: what is drawn from.
    area: smallest and largest fraction of the image's area, drawn uniformly.
    aspect: longest edge over the other one, at least 1; its logarithm is drawn
      uniformly. The part is stretched to a square by so much.

  Returns:
    `uint8[size, size, channels]`.

  Example:
    >>> grey = Image.fromarray(np.zeros((20, 30), np.uint8))
    >>> random_square(grey, 8, np.random.default_rng(0)).shape
    (8, 8, 1)
  """
  left, top, width, height = random_box(
    rng, image.width, image.height, area, aspect
  )
  return _resized(image, size, (left, top, left + width, top + height))


def random_box(
  rng: np.random.Generator,
  width: int,
  height: int,
  area: tuple[float, float],
  aspect: float,
) -> tuple[int, int, int, int]:
  """Left, top, width and height of what `random_square` keeps, in pixels.

  Where ten draws do not fit, which is rare but for very long images, it is the
  largest square in the middle.
  """
  for _ in range(10):
    pixels = rng.uniform(*area) * width * height
    ratio = np.exp(rng.uniform(-np.log(aspect), np.log(aspect)))
    w = max(1, round((pixels * ratio) ** 0.5))
    h = max(1, round((pixels / ratio) ** 0.5))
    if w <= width and h <= height:
      left, top = rng.integers(width - w + 1), rng.integers(height - h + 1)
      return int(left), int(top), w, h
  edge = min(width, height)
  return (width - edge) // 2, (height - edge) // 2, edge, edge


def _resized(
  image: Image.Image, size: int, box: tuple[float, float, float, float]
) -> np.ndarray:
  if image.size == (size, size) and box == (0, 0, size, size):
    pixels = np.asarray(image)  # As it was, to the bit.
  else:
    pixels = np.asarray(
      image.resize((size, size), Image.Resampling.BICUBIC, box=box)
    )
  return pixels[..., None] if pixels.ndim == 2 else pixels
