"""What all scripts do: one line for an error, and its exit code."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.conftest import images, prepare_tfds
from tests.experiments.script_cases import ROOT, SMALL

# Runs scripts as `python -m` does, each in a process of its own that does not
# have to import everything again, and prints what each of them left.
FORKED = """
import json, os, runpy, sys, traceback
import experiments.compare, experiments.count, experiments.search
import experiments.train
ends = []
for module, args in json.loads(sys.argv[1]):
  name = f'experiments.{module}'
  files = [os.memfd_create(stream) for stream in ('out', 'err')]
  child = os.fork()
  if not child:
    del sys.modules[name]
    for stream, file in enumerate(files, 1):
      os.dup2(file, stream)
    sys.argv = [name, *args]
    code = 1
    try:
      runpy.run_module(name, run_name='__main__', alter_sys=True)
      code = 0
    except SystemExit as e:
      code = e.code if isinstance(e.code, int) else 1
    except BaseException:
      traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
  code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
  texts = [os.pread(file, 1 << 20, 0).decode() for file in files]
  ends.append([code, *texts])
print(json.dumps(ends))
"""


BAD_EXIF = b'Exif\0\0MM\0*\0\0\0\x08\0\x05too short'


@pytest.mark.slow
def test_an_error_is_one_line_on_stderr_and_a_code(searched, tmp_path):
  """As a person sees it: no traceback, and the run is as it was."""
  before = sorted(p.stat().st_mtime_ns for p in searched.rglob('*'))
  prepare_tfds(tmp_path, images(40), np.arange(40) % 3)
  for name in 'ab':
    (tmp_path / 'set' / name).mkdir(parents=True)
  # Pillow, TFDS and its readers warn of what they meet here.
  Image.new('L', (8, 8)).save(tmp_path / 'set/a/1.jpg', exif=BAD_EXIF)
  (tmp_path / 'set/b/1.png').write_text('')
  own = [f'--workdir={tmp_path}/t', f'--data_dir={tmp_path}']
  own.append('--network=mobilenet_v2')
  cases = [
    ('search', [f'--workdir={searched}', *SMALL, '--seed=1'], 'seed was 0'),
    ('train', [f'--workdir={tmp_path}/t', '--network=x'], "network 'x'"),
    ('count', ['--network=mobilenet_v2', 'extra'], "argument 'extra'"),
    (
      'compare',
      [f'--workdir={tmp_path}/c', f'--search={tmp_path}'],
      'holds no finished search',
    ),
    ('search', ['--spaec=tiny'], "'spaec'. Did you mean: space"),
    ('search', ['--steps=1.5'], '--steps=1.5: it takes an integer'),
    (
      'search',
      [f'--workdir={tmp_path}/s', '--relax=gdas', '--temperature=0', *SMALL],
      'temperature is 0.0; it must be positive and finite',
    ),
    (
      'train',
      ['--frobnicate=1'],
      "flag 'frobnicate'; --help lists what there is",
    ),
    (
      'compare',
      ['--random=3'],
      'missing --workdir (folder that the run',
    ),
    ('count', ['--width=two'], '--width=two: it takes a number'),
    ('count', ['--json=maybe'], '--json=maybe: it takes true or false'),
    ('count', ['--network'], 'Missing value for flag --network'),
    (
      'train',
      [*own, '--dataset=mnist'],
      "'mnist' is not prepared in",
    ),
    (
      'train',
      [*own, '--dataset=colours', '--test_split=train[1:]'],
      "overlap in 39 images of 'train'",
    ),
    (
      'train',
      [*own, f'--dataset=folder:{tmp_path}/set', '--batch_size=1'],
      '1 of 2 files cannot be read as images: b/1.png (',
    ),
  ]
  given = json.dumps([case[:2] for case in cases])
  done = subprocess.run(
    [sys.executable, '-c', FORKED, given], cwd=ROOT, capture_output=True
  )
  ends = json.loads(done.stdout)
  for (_, _, message), (code, out, err) in zip(cases, ends, strict=True):
    assert code == 1
    *notes, line = err.splitlines()
    # What is done to the images of a folder is said before.
    assert all(note.startswith('folder:') for note in notes)
    assert len(notes) == ('files cannot be read' in message)
    assert line.startswith('error: ')
    assert message in line
    assert not out
  assert before == sorted(p.stat().st_mtime_ns for p in searched.rglob('*'))
