"""LiteRT files: their operators, their input, their metadata."""

import numpy as np
import pytest

from nasjax import ops, space
from nasjax.export import (
  litert_converter,
  litert_file,
  litert_runtime,
  quantise,
  stablehlo_program,
)
from tests.conftest import images
from tests.export.export_cases import model_of, needs_mobile

pytestmark = needs_mobile
SLOTS = (
  space.Slot('stem', (ops.Conv(3, 'hard_swish'),), 8, 2),
  space.Slot('block', (ops.MBConv(5, 2),), 8),
  space.Slot('classifier', (ops.Classifier(),), 3),
)
MODEL = model_of(space.Space('small', 16, 3, SLOTS))


@pytest.fixture(scope='module')
def converted():
  return litert_converter.convert(stablehlo_program.trace(MODEL))


def test_operators_are_those_of_the_layers_in_their_order(converted):
  found = litert_file.operators(converted)
  assert [op.name for op in found] == [
    *('MUL', 'ADD'),  # The normalisation of the image.
    *('CONV_2D', 'HARD_SWISH'),
    *('CONV_2D', 'DEPTHWISE_CONV_2D', 'CONV_2D', 'ADD'),
    *('MEAN', 'FULLY_CONNECTED'),
  ]
  assert found[5].shapes[:2] == ((1, 8, 8, 16), (1, 5, 5, 16))
  assert not any(op.quantised for op in found)


def test_uint8_images_give_the_same_outputs_in_one_partition(converted):
  data = litert_file.with_uint8_input(converted)
  before, after = map(litert_runtime.Runner, (converted, data))
  pixels = images(5, 16, 3)
  np.testing.assert_array_equal(
    before(pixels.astype(np.float32)), after(pixels)
  )
  assert before.fully_accelerated
  assert after.fully_accelerated
  assert litert_file.operators(data)[0].name == 'DEQUANTIZE'


@pytest.mark.parametrize('int8', [False, True])
def test_metadata_comes_back_and_changes_no_output(converted, int8):
  """Large constants of int8 files lie behind the flatbuffer."""
  pixels = images(20, 16, 3)
  data = quantise.int8(converted, pixels) if int8 else converted
  assert litert_file.metadata(data) is None
  given = {'classes': ['café', 'b'], 'crop': 0.875}
  first = litert_file.with_metadata(data, {'classes': []})
  again = litert_file.with_metadata(first, given)
  assert litert_file.metadata(again) == given
  before, after = map(litert_runtime.Runner, (data, again))
  floats = pixels.astype(np.float32)
  np.testing.assert_array_equal(before(floats), after(floats))
