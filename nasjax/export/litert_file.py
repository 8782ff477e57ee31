"""LiteRT flatbuffers: which operators they have, their input, their metadata.

They are read and changed by the schema that the runtime ships.
"""

import json
from typing import Any, NamedTuple

import numpy as np

from nasjax.export import extras

# Name of the metadata entry: JSON with classes and preprocessing.
ENTRY = 'nasjax'
_IDENTIFIER = b'TFL3'


class Operator(NamedTuple):
  """An operator of the graph.

  Attributes:
    name: as the schema has it, such as `'DEPTHWISE_CONV_2D'`.
    shapes: of its inputs, weights among them.
    quantised: whether its first input is an integer.
  """

  name: str
  shapes: tuple[tuple[int, ...], ...]
  quantised: bool


def operators(data: bytes) -> list[Operator]:
  """The operators of the main graph, in the order in which they run."""
  schema = _schema()
  kinds = schema.BuiltinOperator
  names = {code: name for name, code in vars(kinds).items() if name.isupper()}
  model = schema.Model.GetRootAs(data, 0)
  graph, found = model.Subgraphs(0), []
  for i in range(graph.OperatorsLength()):
    operator = graph.Operators(i)
    code = model.OperatorCodes(operator.OpcodeIndex())
    # Codes below 127 stand in the older field.
    kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    places = [operator.Inputs(k) for k in range(operator.InputsLength())]
    tensors = [graph.Tensors(place) for place in places if place >= 0]
    shapes = tuple(
      tuple(t.Shape(k) for k in range(t.ShapeLength())) for t in tensors
    )
    integer = bool(tensors) and tensors[0].Type() == schema.TensorType.INT8
    found.append(Operator(names[kind], shapes, integer))
  return found


def with_uint8_input(data: bytes, name: str = 'image') -> bytes:
  """Puts a DEQUANTIZE in front, so that a float graph takes `uint8` images.

  The CPU delegate takes that operator, unlike CAST, and the graph stays one
  partition. With a scale of 1 it changes no value.

  Args:
    data: of a graph with one input, `f32`.
    name: of the new input.
  """
  schema, model = _schema(), _load(data)
  graph = model.subgraphs[0]
  (old,) = graph.inputs
  image, before = schema.TensorT(), graph.tensors[old]
  image.name, image.type = name, schema.TensorType.UINT8
  image.shape, image.shapeSignature = before.shape, before.shapeSignature
  image.hasRank, image.buffer = True, 0
  image.quantization = schema.QuantizationParametersT()
  image.quantization.scale = np.ones(1, np.float32)
  image.quantization.zeroPoint = np.zeros(1, np.int64)
  graph.tensors.append(image)
  new = len(graph.tensors) - 1
  code = schema.OperatorCodeT()
  code.builtinCode = schema.BuiltinOperator.DEQUANTIZE
  code.deprecatedBuiltinCode, code.version = code.builtinCode, 1
  model.operatorCodes.append(code)
  operator = schema.OperatorT()
  operator.opcodeIndex = len(model.operatorCodes) - 1
  operator.inputs, operator.outputs = [new], [old]
  operator.builtinOptionsType = schema.BuiltinOptions.DequantizeOptions
  operator.builtinOptions = schema.DequantizeOptionsT()
  graph.operators.insert(0, operator)
  graph.inputs = [new]
  for signature in model.signatureDefs:
    for given in signature.inputs:
      if given.tensorIndex == old:
        given.tensorIndex = new
  return _save(model)


def with_metadata(data: bytes, document: Any) -> bytes:
  """Adds JSON as a metadata entry of the file, in place of an earlier one."""
  schema, model = _schema(), _load(data)
  model.metadata = [m for m in model.metadata or [] if _name(m.name) != ENTRY]
  buffer = schema.BufferT()
  buffer.data = np.frombuffer(json.dumps(document).encode(), np.uint8)
  model.buffers.append(buffer)
  entry = schema.MetadataT()
  entry.name, entry.buffer = ENTRY, len(model.buffers) - 1
  model.metadata.append(entry)
  return _save(model)


def metadata(data: bytes) -> Any:
  """The JSON that `with_metadata` added; None where there is none."""
  for entry in _load(data).metadata or []:
    if _name(entry.name) == ENTRY:
      buffer = _load(data).buffers[entry.buffer]
      return json.loads(bytes(buffer.data))
  return None


def _name(text: bytes | str) -> str:
  return text.decode() if isinstance(text, bytes) else text


def _load(data: bytes) -> Any:
  schema = _schema()
  model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
  for buffer in model.buffers:
    if buffer.offset > 1:
      # Large constants may lie behind the flatbuffer. They move into it, as
      # their places in the file are no longer right.
      end = buffer.offset + buffer.size
      buffer.data = np.frombuffer(data, np.uint8)[buffer.offset : end]
      buffer.offset = buffer.size = 0
  return model


def _save(model: Any) -> bytes:
  import flatbuffers  # Like the schema: only where a file is written.

  builder = flatbuffers.Builder(1 << 20)
  builder.Finish(model.Pack(builder), _IDENTIFIER)
  return bytes(builder.Output())


def _schema() -> Any:
  with extras.needed():
    from ai_edge_litert import schema_py_generated
  return schema_py_generated
