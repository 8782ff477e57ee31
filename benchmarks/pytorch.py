"""Times steps of a search and of training against PyTorch's.

  python -m benchmarks.pytorch [--repeats=9] [--batch_size=64]

needs `pip install torch` besides nasjax, and prints one Markdown table: for the
mixed and the entangled supernet of `mobile_small` at 32 pixels, and for
training MobileNetV2 there, a weight step (gradient and SGD with momentum) and
an alpha step (gradient). The networks are the same function with the same
weights, which is checked first; PyTorch runs eagerly in both memory formats.
Sides alternate within one run; the figures are medians. Memory is the peak of a
process that does nothing but three steps of one side, compilation included; on
a GPU, of what that process had allocated there.

Both sides have what helps them: on Linux freed pages are kept (see
`experiments.allocator`), and on a GPU matrix products may be in TF32.
"""

import dataclasses
import datetime
import os
import pathlib
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import app, flags

from experiments import allocator, names
from nasjax import relax, space, spaces, train
from nasjax.entangled import Entangled
from nasjax.ops import Classifier
from nasjax.supernet import Supernet

_REPEATS = flags.DEFINE_integer('repeats', 9, 'Timings of each.', 1)
_BATCH_SIZE = flags.DEFINE_integer('batch_size', 64, 'Images in a step.', 1)
_ONE = flags.DEFINE_string('one', None, 'Side and network, for its memory.')

FORMATS = ('channels_last', 'contiguous_format')
RATE, MOMENTUM = 0.01, 0.9


ON_GPU = jax.default_backend() == 'gpu'


def network(kind: str) -> space.Space:
  """What is computed: a supernet's space, or a single network."""
  sizes = {'image_size': 32, 'channels': 3, 'num_classes': 10}
  if kind == 'mobilenet_v2':
    own = names.for_images('mobilenet_v2', 1.0, **sizes)
    *slots, last = own.slots
    # Random numbers are not compared.
    last = dataclasses.replace(last, ops=(Classifier(dropout=0.0),))
    return dataclasses.replace(own, slots=(*slots, last))
  return spaces.mobile_small(**sizes)


KINDS = {'mixed': Supernet, 'entangled': Entangled, 'mobilenet_v2': Supernet}


def batch(own: space.Space, size: int) -> tuple[np.ndarray, np.ndarray]:
  rng = np.random.default_rng(0)
  shape = size, own.image_size, own.image_size, own.channels
  images = rng.normal(size=shape).astype('float32')
  return images, rng.integers(own.num_classes, size=size)


def alphas(own: space.Space) -> dict[str, np.ndarray]:
  found = space.init_alphas(own, jax.random.key(1), 0.5)
  return {name: np.array(a) for name, a in found.items()}


class OfNasjax:
  """Both steps, compiled."""

  def __init__(self, kind: str, batch_size: int):
    own = network(kind)
    net = KINDS[kind](own)
    images, labels = map(jnp.asarray, batch(own, batch_size))
    logits = jax.tree.map(jnp.asarray, alphas(own))
    tx = optax.sgd(RATE, MOMENTUM)

    @jax.jit
    def init(key):
      probs = relax.softmax(logits)
      return net.init(key, images, probs, train=False)

    variables = init(jax.random.key(0))
    self.params = variables['params']

    def loss(params, logits, stats):
      found, new = net.apply(
        {'params': params, 'batch_stats': stats},
        images,
        relax.softmax(logits),
        train=True,
        mutable=['batch_stats'],
      )
      return train.cross_entropy(found, labels), (new['batch_stats'], found)

    def weight_step(params, stats, moment):
      grad = jax.value_and_grad(loss, has_aux=True)
      (value, (stats, _)), g = grad(params, logits, stats)
      updates, moment = tx.update(g, moment, params)
      return optax.apply_updates(params, updates), stats, moment, value

    def alpha_step(params, stats):
      return jax.grad(loss, 1, has_aux=True)(params, logits, stats)[0]

    stats = variables['batch_stats']
    self.state = self.params, stats, tx.init(self.params)
    with jax.default_matmul_precision('highest'):
      self.first = jax.jit(lambda p: loss(p, logits, stats)[1][1])(self.params)
    self.compile_s, programs = [], []
    for step, arguments in (
      (weight_step, self.state),
      (alpha_step, (self.params, stats)),
    ):
      start = time.perf_counter()
      programs.append(jax.jit(step).lower(*arguments).compile())
      self.compile_s.append(time.perf_counter() - start)
    self._weights, self._alphas = programs
    self.searches = bool(logits)

  def weights(self):
    *self.state, value = self._weights(*self.state)
    jax.block_until_ready(value)

  def alphas(self):
    jax.block_until_ready(self._alphas(*self.state[:2]))


class OfTorch:
  """The same, eagerly, in one memory format."""

  def __init__(self, kind: str, batch_size: int, memory: str, params=None):
    import torch

    from benchmarks import torch_nets

    own = network(kind)
    layout, device = getattr(torch, memory), 'cuda' if ON_GPU else 'cpu'
    net = torch_nets.Network(own, kind)
    if params is not None:
      torch_nets.load(net, params)
    self.net = net.to(device, memory_format=layout)
    images, labels = batch(own, batch_size)
    images = torch.tensor(images.transpose(0, 3, 1, 2), device=device)
    self.images = images.contiguous(memory_format=layout)
    self.labels = torch.tensor(labels, device=device)
    self.logits = {
      name: torch.tensor(a, requires_grad=True, device=device)
      for name, a in alphas(own).items()
    }
    self.optimizer = torch.optim.SGD(self.net.parameters(), RATE, MOMENTUM)
    self.torch, self.searches = torch, bool(self.logits)

  def forward(self):
    probs = {name: a.softmax(-1) for name, a in self.logits.items()}
    return self.net(self.images, probs)

  def _loss(self):
    return self.torch.nn.functional.cross_entropy(self.forward(), self.labels)

  def weights(self):
    self.optimizer.zero_grad()
    for a in self.logits.values():
      a.requires_grad_(False)
    self._loss().backward()
    self.optimizer.step()
    self._wait()

  def alphas(self):
    for a in self.logits.values():
      a.requires_grad_(True)
    for p in self.net.parameters():
      p.requires_grad_(False)
    self.torch.autograd.grad(self._loss(), list(self.logits.values()))
    for p in self.net.parameters():
      p.requires_grad_(True)
    self._wait()

  def _wait(self):
    if ON_GPU:
      self.torch.cuda.synchronize()

  def first(self):
    """Logits, in single precision throughout."""
    self._allow_tf32(False)
    found = self.forward().detach().cpu().numpy()
    self._allow_tf32(ON_GPU)
    return found

  def _allow_tf32(self, allowed):
    self.torch.backends.cuda.matmul.allow_tf32 = allowed
    self.torch.backends.cudnn.allow_tf32 = allowed


def medians_ms(calls: list[Callable[[], None]], repeats: int) -> np.ndarray:
  """Of calls that alternate; the first round warms up."""
  times_ms = np.zeros((repeats + 1, len(calls)))
  for row in times_ms:
    for i, call in enumerate(calls):
      start = time.perf_counter()
      call()
      row[i] = 1e3 * (time.perf_counter() - start)
  return np.median(times_ms[1:], axis=0)


def peak_mb(side: str, kind: str) -> float:
  """Of a process that takes three steps of one side."""
  command = [sys.executable, '-m', 'benchmarks.pytorch']
  command += [f'--one={side}:{kind}', f'--batch_size={_BATCH_SIZE.value}']
  out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
  return float(out.stdout)


def alone(side: str, kind: str) -> None:
  """Takes three steps of one side and prints this process's peak memory."""
  size = _BATCH_SIZE.value
  run = OfNasjax(kind, size) if side == 'nasjax' else OfTorch(kind, size, side)
  for _ in range(3):
    run.weights()
    if run.searches:
      run.alphas()
  print(allocated_mb(side))


def allocated_mb(side: str) -> float:
  """The most that this process had, on the GPU where there is one."""
  if not ON_GPU:
    # What `getrusage` says counts from before the program was started.
    status = pathlib.Path('/proc/self/status').read_text()
    return int(re.search(r'VmHWM:\s+(\d+) kB', status)[1]) / 1024
  if side == 'nasjax':
    return jax.devices()[0].memory_stats()['peak_bytes_in_use'] / 2**20
  import torch

  return torch.cuda.max_memory_allocated() / 2**20


def compared(kind: str) -> list[str]:
  """Cells of a table's row."""
  size = _BATCH_SIZE.value
  ours = OfNasjax(kind, size)
  theirs = {m: OfTorch(kind, size, m, ours.params) for m in FORMATS}
  for other in theirs.values():
    np.testing.assert_allclose(other.first(), ours.first, rtol=1e-3, atol=1e-3)
  runs = [ours, *theirs.values()]
  calls = [run.weights for run in runs]
  calls += [run.alphas for run in runs if run.searches]
  times = medians_ms(calls, _REPEATS.value).reshape(-1, len(runs))
  steps = times.sum(0)
  best = 1 + int(np.argmin(steps[1:]))
  memory = FORMATS[best - 1]
  return [
    f'`{kind}`',
    *(f'{t:.0f}' for t in steps),
    f'**{steps[0] / steps[best]:.2f}**',
    ', '.join(f'{row[0] / row[best]:.2f}' for row in times),
    f'{sum(ours.compile_s[: len(times)]):.0f}',
    f'{peak_mb("nasjax", kind):.0f}',
    f'{peak_mb(memory, kind):.0f}',
  ]


def main(_):
  allocator.keep_pages()
  if _ONE.value is not None:
    alone(*_ONE.value.split(':'))
    return
  import torch

  print(
    f'{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} cores, '
    f'{jax.devices()[0].device_kind}, Python {platform.python_version()}, jax '
    f'{jax.__version__}, PyTorch {torch.__version__}, '
    f'{torch.get_num_threads()} threads, float32; '
    f'batches of {_BATCH_SIZE.value}, medians of {_REPEATS.value}\n'
  )
  head = ['network', 'nasjax ms', *(f'PyTorch {m} ms' for m in FORMATS)]
  head += ['ratio to the best', 'weights, alphas', 'compile s', 'nasjax MB']
  head += ['PyTorch MB']
  print('| ' + ' | '.join(head) + ' |')
  print('|---|' + '---:|' * (len(head) - 1))
  for kind in KINDS:
    print('| ' + ' | '.join(compared(kind)) + ' |', flush=True)


if __name__ == '__main__':
  app.run(main)
