"""Networks as files for phones and other runtimes.

Example:
  >>> import tempfile
  >>> import nasjax as nj
  >>> net = nj.zoo.mobilenet_v2(image_size=17, num_classes=3, width=0.25)
  >>> with tempfile.TemporaryDirectory() as folder:
  ...   exported = nj.export.stablehlo(net, f'{folder}/model.stablehlo')
  >>> exported.record['parity']['same_top']
  1.0

`tflite` needs the extra `mobile`, `onnx` the extra of its name.
"""

from nasjax.export.verified import Exported
from nasjax.export.write import onnx, stablehlo, tflite

__all__ = ['Exported', 'onnx', 'stablehlo', 'tflite']
