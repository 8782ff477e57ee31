"""Missing packages are one line; C++ libraries are quiet."""

import os
import subprocess
import sys

import pytest

from nasjax.export import extras
from tests.conftest import refused


@pytest.mark.parametrize(
  ('kind', 'module', 'extra'),
  [
    ('tflite', 'ai_edge_litert', 'mobile'),
    ('onnx', 'onnx', 'onnx'),
    ('onnx', 'onnxruntime', 'onnx'),
  ],
)
def test_a_missing_package_is_named_with_its_extra(
  kind, module, extra, monkeypatch
):
  for others in ('ai_edge_litert', 'litert_converter', 'onnx'):
    monkeypatch.setitem(sys.modules, others, os)
  monkeypatch.setitem(sys.modules, module, None)
  package = module.replace('_', '-')
  message = rf"needs {package}, .*pip install 'nasjax\[{extra}\]'"
  refused(message, extras.check, kind)
  extras.check('stablehlo')


@pytest.mark.parametrize(
  ('system', 'machine', 'message'),
  [
    ('Linux', 'x86_64', r"pip install 'nasjax\[mobile\]'"),
    ('Darwin', 'arm64', r"pip install 'nasjax\[mobile\]'"),
    ('Linux', 'aarch64', 'no wheel for Linux aarch64, .* export ONNX'),
    ('Windows', 'AMD64', 'no wheel for Windows AMD64, .* export ONNX'),
  ],
)
def test_a_platform_without_the_converter_is_sent_to_onnx(
  system, machine, message, monkeypatch
):
  monkeypatch.setitem(sys.modules, 'ai_edge_litert', os)
  monkeypatch.setitem(sys.modules, 'litert_converter', None)
  monkeypatch.setattr(extras.platform, 'system', lambda: system)
  monkeypatch.setattr(extras.platform, 'machine', lambda: machine)
  refused(message, extras.check, 'tflite')


def test_other_missing_modules_stay_what_they_are():
  with pytest.raises(ModuleNotFoundError, match='no_such_module'):
    with extras.needed():
      import no_such_module  # noqa: F401


def test_only_what_is_written_inside_is_dropped(capfd):
  os.write(2, b'before ')

  def fail():
    os.write(2, b'dropped')
    raise ValueError('raised')

  with extras.quiet(), pytest.raises(ValueError, match='raised'):
    fail()
  with pytest.raises(ValueError, match='raised'):
    extras.quiet()(fail)()
  os.write(2, b'after')
  assert capfd.readouterr().err == 'before after'


def test_the_end_of_a_process_is_quiet():
  code = 'import os, atexit; from nasjax.export import extras\n'
  code += 'atexit.register(os.write, 2, b"dropped")\n'
  code += 'extras.quiet_at_exit(); os.write(2, b"kept")'
  # Handlers run in the order opposite to that in which they were registered.
  done = subprocess.run([sys.executable, '-c', code], capture_output=True)
  assert done.stderr == b'kept'
