"""StableHLO to a LiteRT flatbuffer, by the package `litert-converter`.

The package documents no Python API. All that is used of it stands here, and the
extra `mobile` pins the version.
"""

import jax

from nasjax.export import extras

SIGNATURE, INPUT, OUTPUT = 'serving_default', 'image', 'logits'


def convert(program: jax.export.Exported) -> bytes:
  """Converts a program of one input and one output.

  Args:
    program: without `scan` and bfloat16, exported for `['cpu']`. Depthwise
      convolutions have to be convolutions in it.

  Returns:
    A flatbuffer with the signature `serving_default(image) -> logits`. Batch
    norms are folded into the convolutions, and relu and relu6 fused with them.

  Raises:
    InputError: the converter is not installed.
    RuntimeError: it cannot convert an operator.
  """
  with extras.needed(), extras.quiet():
    from litert_converter import converter_api_ext as api
    from litert_converter.mlir import ir, passmanager
    from litert_converter.mlir.dialects import stablehlo
  with extras.quiet():
    context = ir.Context()
    api.prepare_mlir_context(context)
    with context:
      module = stablehlo.deserialize_portable_artifact(
        context, program.mlir_module_serialized
      )
      operation = module.operation
      api.set_signature(operation, SIGNATURE, [INPUT], [OUTPUT])
      # The pipeline of the converter's own passes follows an empty one.
      empty = passmanager.PassManager.parse('builtin.module()')
      api.run_convert_to_tfl_passes(module, empty, api.ConvertToTFLConfig())
      return bytes(api.export_flatbuffer_to_bytes(operation))
