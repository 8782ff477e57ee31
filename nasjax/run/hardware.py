"""What a run computes on, and what there is that it does not use."""

import functools
import glob
import importlib.metadata
import os
import shutil
import sys
from collections.abc import Mapping, Sequence

import jax

# Packages that let JAX use an NVIDIA GPU; any driver since 525 runs the first.
_PLUGINS = ('jax-cuda12-plugin', 'jax-cuda13-plugin')
_HIDING = 'CUDA_VISIBLE_DEVICES'


def lines() -> list[str]:
  """The devices, and a warning if a GPU or TPU is there but not used.

  Starts JAX's backends, so that it comes after `processes.joined`.

  Returns:
    One or two lines, as in `device: 4 x NVIDIA H200`.
  """
  found = jax.devices()
  first = f'device: {described([d.device_kind for d in found], _cores())}'
  if found[0].platform != 'cpu':
    return [first]
  chosen = jax.config.jax_platforms  # pyrefly: ignore[missing-attribute] # jax
  if chosen is not None:  # Whoever says so knows.
    return [f'{first}, as JAX_PLATFORMS={chosen} says']
  present = accelerator(glob.glob('/dev/*'), shutil.which('nvidia-smi'))
  if present == 'GPU' and hidden(os.environ):
    return [f'{first}, as {_HIDING}={os.environ[_HIDING]} says']
  return [first] if present is None else [first, _warning(present)]


@functools.cache
def say() -> None:
  """Prints `lines` on stderr, once in a process."""
  for line in lines():
    print(line, file=sys.stderr)


def described(kinds: Sequence[str], cores: int) -> str:
  """Devices by their kinds, and a CPU with its cores.

  Example:
    >>> described(['NVIDIA H200', 'NVIDIA H200'], 16)
    '2 x NVIDIA H200'
    >>> described(['cpu'], 2)
    'cpu (2 cores)'
  """
  found = []
  for kind in dict.fromkeys(kinds):
    number = kinds.count(kind)
    name = f'cpu ({cores} cores)' if kind == 'cpu' else kind
    found.append(name if number == 1 else f'{number} x {name}')
  return ', '.join(found)


def accelerator(files: Sequence[str], nvidia_smi: str | None) -> str | None:
  """Which of GPU and TPU a machine has, by the files of its drivers.

  Args:
    files: paths of `/dev`.
    nvidia_smi: where this program is, if it is there.

  Example:
    >>> accelerator(['/dev/null', '/dev/nvidia0', '/dev/nvidiactl'], None)
    'GPU'
  """
  for start, name in (('/dev/nvidia', 'GPU'), ('/dev/accel', 'TPU')):
    numbers = (f.removeprefix(start) for f in files if f.startswith(start))
    if any(number.isdecimal() for number in numbers):
      return name
  # Windows' subsystem for Linux has no other file, for any GPU.
  return 'GPU' if '/dev/dxg' in files and nvidia_smi else None


def hidden(environment: Mapping[str, str]) -> bool:
  """Whether all GPUs are hidden by hand.

  Example:
    >>> hidden({'CUDA_VISIBLE_DEVICES': '-1'}), hidden({})
    (True, False)
  """
  return environment.get(_HIDING, '0').strip() in ('', '-1')


def _cores() -> int:
  """Cores that this process may use."""
  if hasattr(os, 'sched_getaffinity'):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def _warning(present: str) -> str:
  extra, packages = {'GPU': ('cuda12', _PLUGINS), 'TPU': ('tpu', ('libtpu',))}[
    present
  ]
  versions = {}
  for package in packages:
    try:
      versions[package] = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
      continue
  command = f"pip install 'jax[{extra}]=={jax.__version__}'"
  return f'warning: {advice(present, versions, command, jax.__version__)}'


def advice(
  present: str, plugins: Mapping[str, str], command: str, version: str
) -> str:
  """Why JAX does not use what is there, and what helps.

  Args:
    present: GPU or TPU.
    plugins: installed packages that let JAX use it, and their versions.
    command: what installs the right one.
    version: JAX's.

  Example:
    >>> advice('GPU', {}, 'pip install it', '1')
    'this machine has a GPU, but JAX has no plugin for it and runs on the CPU: \
pip install it'
  """
  start = f'this machine has a {present}, but JAX'
  if not plugins:
    return f'{start} has no plugin for it and runs on the CPU: {command}'
  others = [f'{p} {v}' for p, v in plugins.items() if 'jax' in p]
  if others and version not in plugins.values():
    return (
      f'{start} {version} cannot use it by {others[0]} and runs on the CPU; '
      f'versions must be the same: {command}'
    )
  platform = 'cuda' if present == 'GPU' else 'tpu'
  return (
    f'{start} could not start it and runs on the CPU; for the reason: '
    f'python -c "import jax; jax.devices(\'{platform}\')"'
  )
