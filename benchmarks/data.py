"""Images per second on their way to a step.

  python -m benchmarks.data [--batches=50]

prints one Markdown table: batches of the embedded set, drawn, augmented and
normalised on the device as every step does it; rows of a stream, which are
decoded and cut as they are read (`pip install 'nasjax[stream]'`); and decoding
a file once. Medians over batches.
"""

import datetime
import io
import os
import platform
import time

import jax
import numpy as np
from absl import app, flags
from PIL import Image

from nasjax import data
from nasjax.data import augment, stream_batches
from nasjax.data import images as image

_BATCHES = flags.DEFINE_integer('batches', 50, 'Of each.', 5)
_SIZE = flags.DEFINE_integer('batch_size', 64, 'Images in a batch.', 1)


def per_second(call) -> float:
  """Images in a second, by the median over calls; the first warms up."""
  call()
  times = []
  for _ in range(_BATCHES.value):
    start = time.perf_counter()
    call()
    times.append(time.perf_counter() - start)
  return _SIZE.value / float(np.median(times))


def resident(policy: augment.Augment):
  """A call that makes a batch of what lies on the device."""
  arrays = jax.device_put(data.load().train)
  mean, std = data.statistics(arrays.images)
  batches = data.Batches(_SIZE.value, mean, std, policy, 10)
  sampler = batches.begin(jax.random.key(0), arrays)
  program = jax.jit(batches).lower(sampler, arrays, jax.random.key(1)).compile()
  at = [sampler]

  def call():
    images, _, at[0] = program(at[0], arrays, jax.random.key(1))
    images.block_until_ready()

  return call


def streamed(edge: int, cut: int):
  """A call that takes a batch of photographs' parts from a stream."""
  rng = np.random.default_rng(0)
  rows = [
    (rng.integers(0, 256, (edge, edge, 3)).astype(np.uint8), np.int32(i % 2))
    for i in range(2 * _SIZE.value)
  ]
  batches = stream_batches.train_batches(rows, _SIZE.value, cut, seed=0)
  return lambda: next(batches)


def decoded(edge: int):
  """A call that decodes as many JPEG files."""
  rng = np.random.default_rng(0)
  smooth = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
  file = io.BytesIO()
  Image.fromarray(smooth).resize((edge, edge)).save(file, 'jpeg')

  def call():
    for _ in range(_SIZE.value):
      image.square(Image.open(io.BytesIO(file.getvalue())), edge)

  return call


def main(_) -> None:
  flip = augment.Augment(pad=2, flip=True)
  everything = augment.Augment(
    pad=2, flip=True, cutout=8, erasing=0.25, mixup=0.2
  )
  cases = {
    'on the device, pad, crop and flip, 28 pixels': resident(flip),
    'the same, with cutout, erasing and mixup': resident(everything),
    'streamed, cut to 32 of 40 pixels': streamed(40, 32),
    'streamed, cut to 224 of 256 pixels': streamed(256, 224),
    'decoding JPEG of 32 pixels': decoded(32),
    'decoding JPEG of 256 pixels': decoded(256),
  }
  print(
    f'{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} cores, '
    f'{jax.devices()[0].device_kind}, Python {platform.python_version()}, jax '
    f'{jax.__version__}; batches of {_SIZE.value}, medians of '
    f'{_BATCHES.value}\n'
  )
  print('| what | images / s |')
  print('|---|---:|')
  for name, call in cases.items():
    print(f'| {name} | {per_second(call):,.0f} |', flush=True)


if __name__ == '__main__':
  app.run(main)
