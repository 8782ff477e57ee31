"""int8 by post-training quantisation, with real images for calibration."""

import contextlib
import io
import warnings

import numpy as np

from nasjax.errors import InputError
from nasjax.export import extras
from nasjax.export.litert_converter import INPUT, SIGNATURE

# Images that ranges are calibrated on, if there are as many.
CALIBRATION_IMAGES = 200
_FEWEST = 10


def check_images(images: np.ndarray, shape: tuple[int, int, int]) -> None:
  """Checks images of the user's.

  Args:
    images: given.
    shape: height, width and channels that the network takes.

  Raises:
    InputError: they are no `uint8` images of this shape.
  """
  if images.shape[1:] != shape or images.dtype != np.uint8 or not len(images):
    wanted = ', '.join(map(str, shape))
    raise InputError(
      f'images are {images.dtype}{list(images.shape)}; the network takes '
      f'uint8[n, {wanted}], n at least 1'
    )


def spread(images: np.ndarray, most: int = CALIBRATION_IMAGES) -> np.ndarray:
  """Images from all over a set, the same ones every time.

  Example:
    >>> spread(np.arange(10), 3).tolist()
    [0, 4, 9]
  """
  places = np.unique(np.linspace(0, len(images) - 1, most).astype(int))
  return np.asarray(images)[places]


def int8(data: bytes, images: np.ndarray) -> bytes:
  """Quantises weights and activations of a float file to 8 bits.

  Weights have a scale per channel, activations one per tensor, from the
  smallest and largest value in any calibration image. Input and output stay
  `f32`.

  Args:
    data: a flatbuffer that takes `f32` images, 0 to 255.
    images: for calibration, `uint8[n, H, W, C]`, at least 10 of them.

  Returns:
    The flatbuffer in int8.

  Raises:
    InputError: there are too few images, or the quantiser is not installed.
  """
  if len(images) < _FEWEST:
    raise InputError(
      f'int8 is calibrated on {len(images)} images; give at least {_FEWEST} of '
      'the training images'
    )
  with extras.needed(), extras.quiet():
    import litert_quantizer
    from litert_quantizer import calibrator, recipe_manager
    from litert_quantizer.algorithm_manager import AlgorithmName
    from litert_quantizer.qtyping import TFLOperationName
    from litert_quantizer.utils import qsv_utils
  recipe = recipe_manager.RecipeManager()
  recipe.add_static_config(
    regex='.*',
    operation_name=TFLOperationName.ALL_SUPPORTED,
    activation_num_bits=8,
    weight_num_bits=8,
  )
  for end in (TFLOperationName.INPUT, TFLOperationName.OUTPUT):
    recipe.add_quantization_config(
      regex='.*', operation_name=end, algorithm_key=AlgorithmName.NO_QUANTIZE
    )
  quantiser = litert_quantizer.Quantizer(data, recipe.get_quantization_recipe())
  rows = [{INPUT: image[None].astype(np.float32)} for image in images]
  with (
    extras.quiet(),
    # Progress bars, and a warning that the quantiser uses a slow debug mode.
    contextlib.redirect_stderr(io.StringIO()),
    contextlib.redirect_stdout(io.StringIO()),
    warnings.catch_warnings(),
  ):
    warnings.simplefilter('ignore')
    # The default is a moving average of the ranges of images: it clips those
    # that are unlike others, and costs points of accuracy.
    calibration = calibrator.Calibrator(
      data, num_threads=1, qsv_update_func=qsv_utils.min_max_update
    )
    calibration.calibrate({SIGNATURE: rows}, recipe)
    ranges = calibration.get_model_qsvs()
    # Pixels reach from 0 to 255 whatever the images are: a scale of 1.
    pixels = ranges[f'{SIGNATURE}_{INPUT}']
    pixels['min'] = np.zeros_like(pixels['min'])
    pixels['max'] = np.full_like(pixels['max'], 255)
    found = quantiser.quantize(
      ranges, enable_progress_bar=False, enable_progress_report=False
    )
  assert found.quantized_model is not None
  return bytes(found.quantized_model)
