"""The script beside an exported file, which classifies images with it."""

_SCRIPT = '''"""Prints the class of each image: python run.py IMAGE..."""

import pathlib
import sys

import numpy as np
from PIL import Image, ImageOps
{imports}

HERE = pathlib.Path(__file__).resolve().parent
SIZE, MODE, CROP = {size}, {mode!r}, {crop}  # CROP: share of the shorter edge.
LABELS = (HERE / 'labels.txt').read_text(encoding='utf-8').splitlines()
{load}

for path in sys.argv[1:]:
  image = ImageOps.exif_transpose(Image.open(path)).convert(MODE)
  edge = min(image.size) * max(CROP, min(1, SIZE / min(image.size)))
  left, top = (image.width - edge) / 2, (image.height - edge) / 2
  box = left, top, left + edge, top + edge
  image = image.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box)
  pixels = np.asarray(image).reshape(1, SIZE, SIZE, -1).astype(np.{dtype})
{run}
  p = np.exp(logits - logits.max())
  print(f'{{path}}: {{LABELS[p.argmax()]}} {{p.max() / p.sum():.1%}}')
'''
# What differs between formats: imports, loading, running.
_PARTS = {
  'tflite': (
    'from ai_edge_litert.compiled_model import CompiledModel',
    'model = CompiledModel.from_file(str(HERE / {name!r}))\n'
    'inputs = model.create_input_buffers(0)\n'
    'outputs = model.create_output_buffers(0)',
    '  inputs[0].write(pixels)\n'
    '  model.run_by_index(0, inputs, outputs)\n'
    '  logits = outputs[0].read(len(LABELS), np.float32)',
  ),
  'onnx': (
    'import onnxruntime',
    'model = onnxruntime.InferenceSession(\n'
    "  HERE / {name!r}, providers=['CPUExecutionProvider']\n"
    ')',
    "  logits = model.run(['logits'], {{'image': pixels}})[0][0]",
  ),
  'stablehlo': (
    'from jax import export',
    'model = export.deserialize(bytearray((HERE / {name!r}).read_bytes()))',
    '  logits = np.asarray(model.call(pixels))[0]',
  ),
}


def text(
  kind: str, name: str, *, size: int, channels: int, crop: float, dtype: str
) -> str:
  """The script, which needs the runtime, NumPy and Pillow alone.

  Args:
    kind: `'tflite'`, `'onnx'` or `'stablehlo'`.
    name: of the exported file, which lies beside the script.
    size: height and width of the images.
    channels: 1 or 3.
    crop: see `nasjax.export.model.Model`.
    dtype: of the input, `'uint8'` or `'float32'`.

  Example:
    >>> script = text(
    ...   'onnx', 'a.onnx', size=28, channels=1, crop=1.0, dtype='uint8')
    >>> len(script.splitlines())
    26
  """
  imports, load, run = _PARTS[kind]
  return _SCRIPT.format(
    imports=imports,
    load=load.format(name=name),
    run=run.format(),
    size=size,
    mode='L' if channels == 1 else 'RGB',
    crop=crop,
    dtype=dtype,
  )
