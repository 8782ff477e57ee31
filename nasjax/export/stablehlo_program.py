"""The network as a StableHLO program, as `jax.export` writes it."""

import jax
import numpy as np

from nasjax.export.model import Model


def trace(model: Model, dtype: str = 'float32') -> jax.export.Exported:
  """Traces the network for one image, with its weights as constants.

  Args:
    model: what is exported.
    dtype: of the image, `'uint8'` or `'float32'`, with values 0 to 255.

  Returns:
    A program `dtype[1, H, W, C] -> f32[1, classes]`.

  Example:
    >>> from nasjax import zoo
    >>> from nasjax.export import model
    >>> network = zoo.mobilenet_v2(image_size=17, num_classes=3, width=0.25)
    >>> trace(model.of(network)).out_avals
    (ShapedArray(float32[1,3]),)
  """
  graph = model.graph

  def run(image):
    return graph(image.astype(np.float32))

  image = jax.ShapeDtypeStruct((1, *model.image_shape), dtype)
  # The programs of other platforms may have other forms of an op.
  return jax.export.export(jax.jit(run), platforms=['cpu'])(image)


def run_file(data: bytes, images: np.ndarray) -> np.ndarray:
  """Logits that a written program computes.

  Args:
    data: of `jax.export.Exported.serialize`.
    images: `[n, H, W, C]`, of the program's dtype.

  Returns:
    `f32[n, classes]`.
  """
  call = jax.jit(jax.export.deserialize(bytearray(data)).call)
  return np.concatenate([np.asarray(call(image[None])) for image in images])
