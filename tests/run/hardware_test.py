"""A run says what it computes on, and what it leaves unused."""

import os
import pathlib
import subprocess
import sys

import jax
import pytest

from nasjax.run import hardware

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _on_a_machine(monkeypatch, files, *, nvidia_smi=None, **variables):
  """The lines where JAX is on the CPU and there are such files."""
  monkeypatch.setattr(hardware.glob, 'glob', lambda pattern: files)
  monkeypatch.setattr(hardware.shutil, 'which', lambda name: nvidia_smi)
  monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
  for name, value in variables.items():
    monkeypatch.setenv(name, value)
  return hardware.lines()


def test_a_cpu_alone_is_one_line(monkeypatch):
  cores = len(os.sched_getaffinity(0))
  expected = [f'device: cpu ({cores} cores)']
  for files in (
    [],
    ['/dev/nvidiactl', '/dev/nvidia-uvm'],  # A driver without a GPU.
    ['/dev/accel'],  # The folder of other accelerators.
    ['/dev/dxg'],
  ):
    assert _on_a_machine(monkeypatch, files) == expected


@pytest.mark.parametrize(
  ('file', 'name', 'extra'),
  [
    ('/dev/nvidia0', 'GPU', 'cuda12'),
    ('/dev/nvidia7', 'GPU', 'cuda12'),
    ('/dev/accel0', 'TPU', 'tpu'),
    ('/dev/dxg', 'GPU', 'cuda12'),
  ],
)
def test_what_is_there_and_not_used_is_said(monkeypatch, file, name, extra):
  first, warning = _on_a_machine(monkeypatch, [file], nvidia_smi='/bin/it')
  assert first.startswith('device: cpu')
  assert warning.startswith(f'warning: this machine has a {name}')
  assert f"pip install 'jax[{extra}]=={jax.__version__}'" in warning
  # What is to be installed is something that JAX knows.
  extras = hardware.importlib.metadata.metadata('jax').get_all('Provides-Extra')
  assert extra in extras


def test_who_chose_the_cpu_is_not_warned(monkeypatch):
  files = ['/dev/nvidia0']
  (line,) = _on_a_machine(monkeypatch, files, CUDA_VISIBLE_DEVICES='')
  assert line.endswith('as CUDA_VISIBLE_DEVICES= says')
  assert len(_on_a_machine(monkeypatch, files, CUDA_VISIBLE_DEVICES='1')) == 2
  done = subprocess.run(
    [
      sys.executable,
      '-c',
      'from nasjax.run import hardware as h; h.glob.glob = lambda _: '
      '["/dev/nvidia0"]; print(*h.lines(), sep="|")',
    ],
    cwd=ROOT,
    env=os.environ | {'JAX_PLATFORMS': 'cpu'},
    capture_output=True,
    text=True,
    check=True,
  )
  assert done.stdout.endswith('as JAX_PLATFORMS=cpu says\n')


def test_advice_is_of_what_is_wrong():
  def advice(**plugins):
    named = {f'jax-{name}-plugin': v for name, v in plugins.items()}
    return hardware.advice('GPU', named, 'pip install it', '0.10.2')

  assert 'no plugin' in advice()
  assert 'pip install it' in advice(cuda12='0.9.0')
  assert 'cuda12-plugin 0.9.0' in advice(cuda12='0.9.0')
  assert 'pip install it' not in advice(cuda13='0.10.2')
  assert "jax.devices('cuda')" in advice(cuda13='0.10.2')
  found = hardware.advice('TPU', {'libtpu': '0.0.42'}, 'it', '0.10.2')
  assert "jax.devices('tpu')" in found


def test_devices_are_counted_by_kind():
  assert hardware.described(['cpu'] * 8, 2) == '8 x cpu (2 cores)'
  assert hardware.described(['a', 'b', 'a'], 2) == '2 x a, b'
