"""ONNX files: written, checked, and run with onnxruntime."""

import json
from typing import Any

import numpy as np

from nasjax.export import extras, onnx_fuse, onnx_trace
from nasjax.export.litert_converter import INPUT, OUTPUT
from nasjax.export.model import Model

# Of 2022: runtimes on phones are older than those on desktops.
_OPSET, _IR = 17, 8
# Key of the metadata: JSON with classes and preprocessing.
ENTRY = 'nasjax'


def build(model: Model, dtype: str, document: Any) -> bytes:
  """Writes a network as ONNX.

  Args:
    model: what is exported.
    dtype: of the image, `'uint8'` or `'float32'`, with values 0 to 255.
    document: JSON for the file's metadata.

  Returns:
    A file that takes `dtype[1, H, W, C]` and gives `f32[1, classes]`.

  Raises:
    InputError: onnx is not installed, or an operation has no ONNX form.
  """
  with extras.needed():
    import onnx
    from onnx import helper, numpy_helper
  shape = 1, *model.image_shape
  cast = 'image_float32'
  graph, output = onnx_trace.trace(
    model.graph, shape, cast if dtype == 'uint8' else INPUT
  )
  graph = onnx_fuse.fuse(graph, output)
  nodes = [
    helper.make_node(
      node.op,
      node.inputs,
      [OUTPUT if node.output == output else node.output],
      **node.attributes,
    )
    for node in graph.nodes
  ]
  if dtype == 'uint8':
    kind = onnx.TensorProto.FLOAT
    nodes.insert(0, helper.make_node('Cast', [INPUT], [cast], to=kind))
  element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
  logits = [1, len(model.classes)]
  made = helper.make_model(
    helper.make_graph(
      nodes,
      model.network.name,
      [helper.make_tensor_value_info(INPUT, element, shape)],
      [helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, logits)],
      [numpy_helper.from_array(c, n) for n, c in graph.constants.items()],
    ),
    opset_imports=[helper.make_opsetid('', _OPSET)],
    ir_version=_IR,
    producer_name='nasjax',
  )
  helper.set_model_props(made, {ENTRY: json.dumps(document)})
  onnx.checker.check_model(made, full_check=True)
  return made.SerializeToString()


def operators(data: bytes) -> list[str]:
  """The operators of a file, in the order in which they run."""
  with extras.needed():
    import onnx
  return [node.op_type for node in onnx.load_from_string(data).graph.node]


def metadata(data: bytes) -> Any:
  """The JSON in a file's metadata; None where there is none."""
  with extras.needed():
    import onnx
  props = onnx.load_from_string(data).metadata_props
  found = {prop.key: prop.value for prop in props}
  return json.loads(found[ENTRY]) if ENTRY in found else None


def run_file(data: bytes, images: np.ndarray) -> np.ndarray:
  """Logits that onnxruntime computes on one thread, one image at a time.

  Args:
    data: of an ONNX file.
    images: `[n, H, W, C]`, of the dtype of its input.

  Returns:
    `f32[n, classes]`.
  """
  with extras.needed():
    import onnxruntime
  options = onnxruntime.SessionOptions()
  options.intra_op_num_threads = 1
  session = onnxruntime.InferenceSession(
    data, options, providers=['CPUExecutionProvider']
  )
  found = [session.run([OUTPUT], {INPUT: image[None]})[0] for image in images]
  return np.concatenate([np.asarray(logits) for logits in found])
