"""Files of runs, damaged at random: read, or refused in a line, in seconds.

`MUTATIONS_ARCHITECTURE` says how many architecture files are tried,
`MUTATIONS_RUNS` how many of each file of a run, `SEED` which; it is printed.
"""

import copy
import itertools
import json
import os
import random
import shutil
import time

import numpy as np
import pytest

from experiments import search, train
from experiments.flags import cli, sources
from experiments.sweep import one_search
from nasjax import cost, data, space, spaces
from nasjax.errors import InputError
from nasjax.run import datasets, finished, training
from nasjax.run.workdir import metrics_file
from tests.conftest import images
from tests.experiments.told_cases import search_run, train_as_told
from tests.run.run_cases import FEW
from tests.supernet.cell_cases import tiny as tiny_cells

SEED = int(os.environ['SEED'])
ARCHITECTURES = int(os.environ.get('MUTATIONS_ARCHITECTURE', '60'))
RUNS = int(os.environ.get('MUTATIONS_RUNS', '10'))
SECONDS = 20
ARRAYS = data.Arrays(images(60), np.arange(60, dtype=np.int32) % 3)
SET = data.Dataset('three', ARRAYS, ARRAYS, ('a', 'b', 'c'))

VALUES = [
  *(None, True, False, 0, 1, -1, 7, 1.5, -0.0, 10**9, 10**30, 10**400),
  *(float('nan'), float('inf'), float('-inf'), 1e-300, 2**31, 2**63),
  *('', 'x', 'last', 'skip', '\ud800', '\x1b[2J', 'a\nb', r'$\frac$'),
  *('../../x', '/dev/zero', '<script>', '__class__', 'os', '3', 'x' * 999),
  *([], [0], [[0]], ['x'], {}, {'a': 1}, {'op': 'MBConv'}, [[[[]]]]),
]


def _keys(value):
  if isinstance(value, list):
    return range(len(value))
  return list(value) if isinstance(value, dict) else ()


def _place(document, rng):
  """The path of something that a JSON value holds, near the top or deep."""
  path, value = (), document
  while keys := _keys(value):
    path += (rng.choice(keys),)
    value = value[path[-1]]
    if rng.random() < 0.3:
      break
  return path


def _outer(document, path):
  for key in path[:-1]:
    document = document[key]
  return document


def _replaced(document, path, rng):
  _outer(document, path)[path[-1]] = rng.choice(VALUES)


def _removed(document, path, rng):
  del _outer(document, path)[path[-1]]


def _another(document, path, rng):
  """What stands at another place."""
  other = _place(document, rng)
  value = copy.deepcopy(_outer(document, other)[other[-1]])
  _outer(document, path)[path[-1]] = value


def _repeated(document, path, rng):
  outer = _outer(document, path)
  if isinstance(outer, list):
    outer += outer[path[-1] :] * rng.choice([1, 2, 50])
  else:
    outer[rng.choice(['', 'extra', 'op'])] = outer[path[-1]]


def _changed(document, path, rng):
  """A number or a name that is a bit different."""
  outer = _outer(document, path)
  value = outer[path[-1]]
  if isinstance(value, bool) or not isinstance(value, int | float | str):
    _replaced(document, path, rng)
  elif isinstance(value, str):
    outer[path[-1]] = value[: rng.randrange(len(value) + 1)] + rng.choice('_9')
  else:
    outer[path[-1]] = rng.choice([-value, value + 1, 2 * value, 1000 * value])


def _json(text, rng):
  """The text with one to three values damaged."""
  document = json.loads(text)
  for _ in range(rng.randint(1, 3)):
    edit = rng.choice([_replaced, _replaced, _removed, _another])
    edit = rng.choice([edit, _repeated, _changed])
    if path := _place(document, rng):
      edit(document, path, rng)
  return json.dumps(document).encode()


def _bytes(text, rng):
  """The text cut, with bytes that are no UTF-8, or something else."""
  raw, at = text.encode(), rng.randrange(len(text))
  return rng.choice(
    [
      b'',
      raw[:at],
      raw[:at] + bytes([rng.randrange(256)]) + raw[at + 1 :],
      raw[:at] + b'\xff\xfe' + raw[at:],
      b'[' * 100_000,
      b'{"a":' * 100_000,
      b'1' * 10_000,
      b'\x00' * 100,
      raw + raw,
      rng.choice([b'[]', b'{}', b'null', b'3', b'"x"', b'NaN', b'[[[]]]']),
    ]
  )


def damaged(text, rng):
  """A file's text, damaged, as bytes."""
  return rng.choice([_json, _json, _json, _bytes])(text, rng)


def _contents(folder):
  return {p: p.read_bytes() for p in folder.rglob('*') if p.is_file()}


def _tried(read, folder, what):
  """Reads what is damaged; returns whether it was read."""
  before, start = _contents(folder), time.monotonic()
  done = False
  try:
    read()
    done = True
  except InputError:
    pass
  except Exception as e:
    raise AssertionError(f'SEED={SEED}, {what}: {e!r}') from e
  assert time.monotonic() - start < SECONDS, f'SEED={SEED}, {what}'
  assert _contents(folder) == before, f'SEED={SEED}, {what}'
  return done


# Architecture files.

SPACES = [
  spaces.tiny,
  spaces.tiny_width,
  spaces.tiny_macro,
  spaces.mobile_small,
  tiny_cells,
  lambda: space.Proxy(tiny_cells(), tiny_cells(layers=1)),
]


def test_architecture_files_are_read_or_refused(tmp_path):
  print(f'SEED={SEED}')
  path, done = tmp_path / 'a.json', 0
  wholes = []
  for make in SPACES:
    s = make()
    indices = [0] * len(space.axes(s.choices))
    a = space.Architecture.from_indices(s, indices)
    a.save(path, classes=['a', 'b'])
    wholes.append(path.read_text())

  def read():
    a = space.Architecture.load(path)
    network = space.fix(space.resize(a.space, num_classes=3), a)
    space.check_image_size(network)
    for make in (cost.macs, cost.params):
      assert make(network).constant >= 0

  for i in range(ARCHITECTURES):
    rng = random.Random(f'{SEED} {i}')
    raw = damaged(rng.choice(wholes), rng)
    path.write_bytes(raw)
    done += _tried(read, tmp_path, f'mutation {i}: {raw[:3000]!r}')
  assert 0 < done < ARCHITECTURES


# Runs.


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
  """A finished training, and a finished search."""
  root = tmp_path_factory.mktemp('runs')
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(sources, 'open_or_stream', lambda *_, **__: SET)
    s = spaces.tiny(num_classes=3)
    a = space.Architecture.from_indices(s, [0] * len(s.choices))
    a.save(root / 'a.json')
    _train(root)
    _searched(root)
    yield root


def _train(root):
  given = {'architecture': str(root / 'a.json'), 'epochs': 1}
  given |= {'batch_size': 12, 'valid_fraction': 0.2}
  config = cli.defaults(train.OPTIONS) | given
  return train_as_told(config, root / 'train', 'a command')


def _evaluated(root):
  found = train.evaluate(root / 'train', {})
  train.say_evaluation(root / 'train', found)


def _taught(root):
  finished.teacher(root / 'train', SET, 0.5, 4.0)


def _searched(root):
  config = cli.defaults(search.OPTIONS)
  config |= {'space': 'tiny', 'limit': ['macs=9M'], 'batch_size': 10}
  config |= {'steps': 4, 'warmup_steps': 2, 'log_every': 1, **FEW}
  return search_run(config, root / 'search', 'a command')


def _compared(root):
  found, record, images = one_search.read(root / 'search')
  one_search.plan(found.space, record, [1.0], 1, 0, 0.0)
  assert isinstance(images, sources.Streamable)


def _certified(root):
  assert _searched(root).certificate


def _shown(root):
  metrics_file.read(root / 'search')
  metrics_file.cut(root / 'search', 10**9)


READERS = {
  'train/result.json': (_evaluated, _taught, _train),
  'train/config.json': (_evaluated, _taught, _train),
  'train/architecture.json': (_evaluated, _taught, _train),
  'search/architecture.json': (_compared, _certified),
  'search/config.json': (_compared, _certified),
}


@pytest.mark.slow
def test_files_of_runs_are_read_or_refused(runs, tmp_path, monkeypatch):
  print(f'SEED={SEED}')
  # What is measured on images is looked at elsewhere, and takes its time.
  monkeypatch.setattr(datasets, 'accuracy', lambda *_: 0.5)
  root, done = tmp_path / 'runs', 0
  shutil.copytree(runs, root)
  for i, (file, readers) in itertools.product(range(RUNS), READERS.items()):
    path = root / file
    whole = path.read_text()
    raw = damaged(whole, random.Random(f'{SEED} {i} {file}'))
    path.write_bytes(raw)
    for read in readers:
      what = f'mutation {i} of {file}, {read.__name__}: {raw[:3000]!r}'
      done += _tried(lambda read=read: read(root), root, what)
    path.write_text(whole)
  assert 0 < done < RUNS * sum(map(len, READERS.values()))


@pytest.mark.slow
def test_lines_of_metrics_are_read_or_refused(runs, tmp_path):
  print(f'SEED={SEED}')
  (tmp_path / 'search').mkdir()
  path = tmp_path / 'search' / 'metrics.jsonl'
  whole = (runs / 'search' / 'metrics.jsonl').read_text().splitlines()
  for i in range(RUNS):
    rng = random.Random(f'{SEED} {i}')
    lines = [line.encode() for line in whole]
    at = rng.randrange(len(lines) - 1)  # A kill may leave the last one unwhole.
    lines[at] = damaged(whole[at], rng).replace(b'\n', b' ')
    path.write_bytes(b'\n'.join(lines) + b'\n')
    what = f'mutation {i}: {lines[at][:3000]!r}'
    _tried(lambda: metrics_file.read(tmp_path / 'search'), tmp_path, what)


@pytest.mark.slow
def test_the_runs_are_read_where_nothing_is_damaged(runs, monkeypatch):
  monkeypatch.setattr(datasets, 'accuracy', lambda *_: 0.5)
  for readers in READERS.values():
    for read in readers:
      assert _tried(lambda read=read: read(runs), runs, read.__name__)
  assert training.finished.result(runs / 'train' / 'result.json')
