"""Times steps of a search and of training against PyTorch's.

  python -m benchmarks.pytorch [--turns=5] [--batch_size=64]

needs `pip install torch` besides nasjax, and prints one Markdown table: for the
mixed and the entangled supernet of `mobile_small` at 32 pixels, and for
training MobileNetV2 there, a weight step (gradient and SGD with momentum) and
an alpha step (gradient). The networks are the same function with the same
weights, which is checked first; PyTorch runs eagerly in both memory formats.
Each side has a process of its own; they take turns of five steps of each kind,
and the figures are medians. Memory is the peak of such a process, compilation
included; on a GPU, of what it had allocated there.

Both sides have what helps them: on Linux huge pages (see
`experiments.flags.allocator`), and on a GPU matrix products may be in TF32.
"""

import contextlib
import dataclasses
import datetime
import multiprocessing
import os
import pathlib
import platform
import re
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import app, flags

from experiments.flags import allocator, names
from nasjax import relax, space, spaces, train
from nasjax.ops import Classifier
from nasjax.supernet import Supernet
from nasjax.supernet.entangled import Entangled

_TURNS = flags.DEFINE_integer('turns', 5, 'Of five timings of each.', 1)
_BATCH_SIZE = flags.DEFINE_integer('batch_size', 64, 'Images in a step.', 1)

FORMATS = ('channels_last', 'contiguous_format')
RATE, MOMENTUM = 0.01, 0.9
STEPS = ['weights', 'alphas']
IN_TURN, PAUSE_S = 5, 0.05

# Several processes share a GPU; JAX would take most of its memory at once, from
# the next line on.
os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
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
      self._first = jax.jit(lambda p: loss(p, logits, stats)[1][1])(self.params)
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

  def first(self):
    """Logits, in single precision throughout."""
    return self._first

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


class Side:
  """One side in a process of its own, which does what it is told and times it.

  Beside another framework in one process a side would wait for the threads and
  the memory of both.
  """

  def __init__(self, side: str, kind: str, params=None):
    spawned = multiprocessing.get_context('spawn')
    self._pipe, other = spawned.Pipe()
    arguments = other, side, kind, _BATCH_SIZE.value, params
    spawned.Process(target=serve, args=arguments, daemon=True).start()
    other.close()

  def __call__(self, what: str):
    self._pipe.send(what)
    return self._pipe.recv()


def serve(pipe, side: str, kind: str, size: int, params) -> None:
  """Answers until nobody asks any more."""
  allocator.keep_pages()
  if side == 'nasjax':
    run = OfNasjax(kind, size)
  else:
    run = OfTorch(kind, size, side, params)
  answers = {
    'steps': lambda: STEPS[: 1 + run.searches],
    'params': lambda: jax.device_get(run.params),
    'first': lambda: np.asarray(run.first()),
    'compile_s': lambda: sum(run.compile_s[: 1 + run.searches]),
    'peak_mb': lambda: allocated_mb(side),
    **{step: lambda step=step: timed_ms(getattr(run, step)) for step in STEPS},
  }
  with contextlib.suppress(EOFError):
    while True:
      pipe.send(answers[pipe.recv()]())


def timed_ms(call: Callable[[], None]) -> float:
  start = time.perf_counter()
  call()
  return 1e3 * (time.perf_counter() - start)


def medians_ms(sides: list[Side], steps: list[str], turns: int) -> np.ndarray:
  """`f64[steps, sides]`; sides take turns, and the first round warms up.

  In a turn steps follow each other as they do in a search or a training.
  """
  times_ms = np.zeros((turns + 1, IN_TURN, len(steps), len(sides)))
  for turn in times_ms:
    for j, side in enumerate(sides):
      # Threads of the side before may still look for work, busily.
      time.sleep(PAUSE_S)
      for one in turn:
        one[:, j] = [side(step) for step in steps]
  return np.median(times_ms[1:], axis=(0, 1))


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
  ours = Side('nasjax', kind)
  params, logits = ours('params'), ours('first')
  theirs = [Side(memory, kind, params) for memory in FORMATS]
  for other in theirs:
    np.testing.assert_allclose(other('first'), logits, rtol=1e-3, atol=1e-3)
  sides = [ours, *theirs]
  times = medians_ms(sides, ours('steps'), _TURNS.value)
  steps = times.sum(0)
  best = 1 + int(np.argmin(steps[1:]))
  return [
    f'`{kind}`',
    *(f'{t:.0f}' for t in steps),
    f'**{steps[0] / steps[best]:.2f}**',
    ', '.join(f'{row[0] / row[best]:.2f}' for row in times),
    f'{ours("compile_s"):.0f}',
    *(f'{side("peak_mb"):.0f}' for side in (ours, sides[best])),
  ]


def main(_):
  import torch

  print(
    f'{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} cores, '
    f'{jax.devices()[0].device_kind}, Python {platform.python_version()}, jax '
    f'{jax.__version__}, PyTorch {torch.__version__}, '
    f'{torch.get_num_threads()} threads, float32; '
    f'batches of {_BATCH_SIZE.value}, medians of {_TURNS.value} turns of '
    f'{IN_TURN}\n'
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
