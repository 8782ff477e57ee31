"""Warnings about what a runtime is slow at."""

import pytest

from nasjax import ops, space
from nasjax.export import (
  litert_converter,
  litert_file,
  litert_runtime,
  stablehlo_program,
  warned,
)
from tests.export.export_cases import model_of, needs_mobile


def _network(*candidates):
  slots = [space.Slot('stem', (ops.Conv(3),), 8, 2)]
  slots += [space.Slot(f's{i}', (op,), 8) for i, op in enumerate(candidates)]
  slots.append(space.Slot('classifier', (ops.Classifier(),), 3))
  return space.Space('net', 16, 1, tuple(slots))


@needs_mobile
@pytest.mark.parametrize(
  ('kernels', 'said'),
  [
    ((3, 5), None),
    ((3, 7), '1 depthwise convolution has 49 taps'),
    ((9, 7), '2 depthwise convolutions have up to 81 taps'),
  ],
)
def test_depthwise_kernels_above_25_taps_are_named(kernels, said):
  network = _network(*(ops.MBConv(k, 2) for k in kernels))
  program = stablehlo_program.trace(model_of(network))
  found = litert_file.operators(litert_converter.convert(program))
  lines = warned.warnings(found, True)
  assert lines == [] if said is None else lines[0].startswith(said)


@needs_mobile
def test_a_file_outside_of_the_delegate_is_named():
  """It takes no uint8 that a CAST makes float."""
  program = stablehlo_program.trace(model_of(_network()), 'uint8')
  data = litert_converter.convert(program)
  run, found = litert_runtime.Runner(data), litert_file.operators(data)
  assert not run.fully_accelerated
  (line,) = warned.warnings(found, run.fully_accelerated)
  assert line.endswith('it lacks CAST')


def test_int8_hard_swish_is_named_and_float_is_not():
  swish = litert_file.Operator('HARD_SWISH', ((1, 8, 8, 4),), True)
  (line,) = warned.warnings([swish, swish], False)
  assert line.startswith('2 hard-swish operators are int8')
  assert warned.warnings([swish._replace(quantised=False)], True) == []
