"""Runs of strangers: none of their code is run, and damage is one line."""

import dataclasses
import json
import os
import shutil
import sys

import numpy as np
import pytest

from experiments import search, train
from experiments.flags import cli, names, sources
from experiments.sweep import one_search
from nasjax import data, space, spaces
from nasjax.run import finished
from nasjax.run import record as record_lib
from nasjax.run.workdir import (
  metrics_file,
  schema,
  weights,
)
from tests.conftest import images, refused
from tests.experiments.told_cases import search_run, train_as_told
from tests.run.run_cases import FEW

OPS = '''"""Ops of a user's."""

import dataclasses
import pathlib

from nasjax import ops

pathlib.Path(__file__).with_name('ran').touch()


@dataclasses.dataclass(frozen=True)
class Mine(ops.MBConv):
  """Is loaded if its module is named."""
'''
LABELS = np.arange(60, dtype=np.int32) % 3
ARRAYS = data.Arrays(images(60), LABELS)
CLASSES = ('a', 'b<c', 'd|e')
SET = data.Dataset('three', ARRAYS, ARRAYS, CLASSES)
SMALL = {'epochs': 1, 'batch_size': 20}


@pytest.fixture(autouse=True)
def _three(monkeypatch):
  monkeypatch.setattr(sources, 'open_or_stream', lambda *_, **__: SET)


def _train(workdir, **given):
  return train_as_told(
    cli.defaults(train.OPTIONS) | SMALL | given, workdir, 'a command'
  ).result


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  """Runs, one of them with an op of a module of its own."""
  root = tmp_path_factory.mktemp('runs')
  tiny = spaces.tiny(num_classes=3)
  a = space.Architecture.from_indices(tiny, [0] * len(tiny.choices))
  a.save(root / 'plain.json')
  text = (root / 'plain.json').read_text()
  (root / 'own.json').write_text(text.replace('"MBConv"', '"Mine"'))
  (root / 'my_ops.py').write_text(OPS)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(sources, 'open_or_stream', lambda *_, **__: SET)
    patch.syspath_prepend(root)
    _train(root / 'plain', architecture=str(root / 'plain.json'))
    own = {'architecture': str(root / 'own.json'), 'ops': 'my_ops'}
    _train(root / 'own', **own)
    config = cli.defaults(search.OPTIONS)
    config |= {'space': 'tiny', 'limit': ['macs=9M'], 'batch_size': 10}
    config |= {'steps': 4, 'warmup_steps': 2, 'log_every': 1, **FEW}
    search_run(config, root / 'search', 'a command')
  return root


@pytest.fixture
def forgotten(root, monkeypatch):
  """As in another process, whose folder has the module, too."""
  monkeypatch.syspath_prepend(root)
  monkeypatch.delitem(sys.modules, 'my_ops', raising=False)
  (root / 'ran').unlink(missing_ok=True)
  yield lambda: (root / 'ran').exists()
  sys.modules.pop('my_ops', None)


@pytest.fixture
def copied(root, tmp_path):
  def copy(name):
    shutil.copytree(root / name, tmp_path / name)
    return tmp_path / name

  return copy


def _edited(path, edit):
  document = json.loads(path.read_text())
  found = edit(document)
  path.write_text(json.dumps(document if found is None else found))


def _contents(workdir):
  return {p: p.read_bytes() for p in workdir.rglob('*') if p.is_file()}


# Modules.


@pytest.mark.slow
def test_an_evaluation_imports_what_was_typed_alone(root, forgotten):
  refused('give ops=my_ops', train.evaluate, root / 'own', {})
  assert not forgotten()
  found = train.evaluate(root / 'own', {'ops': 'my_ops'})
  assert forgotten()
  recorded = record_lib.read_json(root / 'own' / 'result.json')
  assert found == {'last': recorded['last_test_accuracy']}


@pytest.mark.slow
def test_a_teacher_has_ops_that_were_typed_alone(root, forgotten, tmp_path):
  student = {'architecture': str(root / 'plain.json')}
  student['teacher'] = str(root / 'own')
  refused('give ops=my_ops', _train, tmp_path / 'student', **student)
  assert not forgotten()
  assert not (tmp_path / 'student').exists()
  result = _train(tmp_path / 'student', **student, ops='my_ops')
  assert forgotten()
  assert result['teacher']['workdir'] == str(root / 'own')


def test_ops_go_with_a_published_network_where_there_is_a_teacher():
  named = train.Named(ops='my_ops', network='resnet18')
  check = names.check_network
  check(named, 'runs/own')
  message = 'no effect with --network'
  refused(message, check, named)


@pytest.mark.slow
def test_a_run_that_names_a_module_it_does_not_need_imports_nothing(
  copied, forgotten
):
  workdir = copied('plain')
  _edited(workdir / 'config.json', lambda c: c.update(ops='my_ops'))
  assert set(train.evaluate(workdir, {})) == {'last'}
  assert not forgotten()


@pytest.mark.slow
def test_a_comparison_imports_what_was_typed_alone(copied, forgotten):
  workdir = copied('search')
  path = workdir / 'architecture.json'
  path.write_text(path.read_text().replace('"MBConv"', '"Mine"'))
  _edited(workdir / 'config.json', lambda c: c.update(space='my_ops:space'))
  refused('give ops=my_ops', one_search.read, workdir)
  assert not forgotten()
  ops = names.ops_of('my_ops')
  assert one_search.read(workdir, ops)[0].space.name == 'tiny'


@pytest.mark.slow
def test_a_module_that_is_no_name_is_not_recommended(copied, forgotten):
  workdir = copied('own')
  _edited(workdir / 'config.json', lambda c: c.update(ops='x; rm -r .'))
  with pytest.raises(ValueError, match="'Mine' does not exist") as e:
    train.evaluate(workdir, {})
  assert 'rm -r' not in str(e.value)


# Damage.

RESULTS = [
  ('result.json', lambda d: [], 'is .* and must be a JSON object'),
  ('result.json', lambda d: {}, "has no 'test_accuracy'"),
  ('result.json', lambda d: {**d, 'network': 3}, "'network', which is 3"),
  ('result.json', lambda d: d.pop('network') and d, "has no 'network'"),
  ('result.json', lambda d: {**d, 'evaluated': '../x'}, 'one of last, best'),
  ('result.json', lambda d: {**d, 'evaluated': ['last']}, 'one of last, best'),
  ('result.json', lambda d: {**d, 'evaluated': 'best'}, 'best_test_accuracy'),
  ('result.json', lambda d: {**d, 'test_accuracy': float('nan')}, '0 to 1'),
  ('result.json', lambda d: {**d, 'last_test_accuracy': 'x'}, '0 to 1'),
  ('result.json', lambda d: {**d, 'macs': 10**400}, 'whole number from 0'),
  ('result.json', lambda d: {**d, 'recipe': {'epochs': 'x'}}, "'epochs'"),
  ('result.json', lambda d: {**d, 'recipe': {'epochs': 0}}, 'at least 1'),
  ('result.json', lambda d: {**d, 'recipe': {'a': 0}}, "argument 'a'"),
  ('result.json', lambda d: {**d, 'normalisation': {}}, "has no 'mean'"),
  (
    'result.json',
    lambda d: {**d, 'normalisation': {'mean': [0.0] * 5, 'std': [1.0] * 5}},
    'images of 1 channels',
  ),
  ('result.json', lambda d: {**d, 'classes': [[]]}, "'classes'"),
  ('config.json', lambda d: [], 'is .* and must be a JSON object'),
  ('config.json', lambda d: {}, "has no 'data_content'"),
  ('config.json', lambda d: {**d, 'epochs': [1]}, "'epochs', which is"),
  ('config.json', lambda d: {**d, 'dataset': None}, "'dataset', which is None"),
  ('config.json', lambda d: {**d, 'stream': 'no'}, 'true or false'),
]


@pytest.mark.slow
@pytest.mark.parametrize(('file', 'edit', 'message'), RESULTS)
def test_a_damaged_training_is_one_line(copied, file, edit, message):
  workdir = copied('plain')
  _edited(workdir / file, edit)
  before = _contents(workdir)
  refused(f'{file}.*{message}', train.evaluate, workdir, {})
  if file == 'result.json':
    refused(message, finished.teacher, workdir, SET, 0.5, 4.0)
  assert _contents(workdir) == before


@pytest.mark.slow
@pytest.mark.parametrize(
  ('file', 'edit', 'message'),
  [
    ('config.json', lambda d: [], 'a JSON object'),
    ('config.json', lambda d: {}, "has no 'dataset'"),
    ('config.json', lambda d: {**d, 'dataset': 3}, "'dataset', which is 3"),
    ('config.json', lambda d: {**d, 'crop_area': '1'}, "'crop_area'"),
    ('architecture.json', lambda d: d.pop('alphas') and d, "has no 'alphas'"),
    ('architecture.json', lambda d: {**d, 'alphas': []}, "'alphas', which"),
    (
      'architecture.json',
      lambda d: d['alphas'].pop('stage1_1') and d,
      "has no 'stage1_1'",
    ),
    (
      'architecture.json',
      lambda d: d['alphas'].update(stage1_1=[1.0]),
      'a list of',
    ),
    (
      'architecture.json',
      lambda d: d['alphas'].update(stage1_1=[float('nan'), 0.0]),
      'item 0, which is nan',
    ),
    ('architecture.json', lambda d: {**d, 'resources': [1]}, "'resources'"),
    (
      'architecture.json',
      lambda d: {**d, 'resources': {'macs': {'limit': 'x'}}},
      "'limit', which is 'x'",
    ),
    (
      'architecture.json',
      lambda d: {**d, 'resources': {'macs': 3}},
      "'macs', which is 3",
    ),
    (
      'architecture.json',
      lambda d: {**d, 'resources': {'joules': {'limit': 3}}},
      "'joules', which is none of macs",
    ),
  ],
)
def test_a_damaged_search_is_one_line(copied, file, edit, message):
  workdir = copied('search')
  one_search.read(workdir)
  _edited(workdir / file, edit)
  refused(f'{file}.*{message}', one_search.read, workdir)


@pytest.mark.slow
@pytest.mark.parametrize(
  'damage',
  [
    lambda path: path.write_text(''),
    lambda path: path.write_text('[' * 100_000),
    lambda path: path.write_bytes(b'"\xff"'),
    lambda path: path.write_text('1' * 5000),
    lambda path: path.unlink() or path.mkdir(),
  ],
)
@pytest.mark.parametrize('file', ['result.json', 'config.json'])
def test_a_file_that_is_no_json_is_one_line(copied, file, damage):
  workdir = copied('plain')
  damage(workdir / file)
  refused(f'{file}', train.evaluate, workdir, {})


@pytest.mark.slow
def test_a_finished_training_is_not_gone_on_with_if_damaged(root, copied):
  workdir = copied('plain')
  again = {'architecture': str(root / 'plain.json')}
  whole = _train(workdir, **again)
  assert whole == record_lib.read_json(workdir / 'result.json')
  _edited(workdir / 'result.json', lambda d: d.update(test_accuracy=[1]))
  before = _contents(workdir)
  refused("'test_accuracy', which is", _train, workdir, **again)
  assert _contents(workdir) == before


@pytest.mark.parametrize('line', ['{}', '3', '{"step": "x"}', '[' * 9999])
def test_a_damaged_line_of_metrics_is_named(tmp_path, line):
  path = tmp_path / 'metrics.jsonl'
  path.write_text(f'{{"step": 1}}\n{line}\n{{"step": 3}}\n')
  before = path.read_text()
  refused('metrics.jsonl, line 2,', metrics_file.read, tmp_path)
  refused('metrics.jsonl, line 2,', metrics_file.cut, tmp_path, 3)
  assert path.read_text() == before


def test_kinds_tell_numbers_from_what_looks_like_one():
  right = schema.number, (0, -1.5, 10**30)
  wrong = schema.number, (True, '1', None, float('nan'), float('inf'), 10**40)
  assert not any(map(right[0], right[1]))
  assert all(map(wrong[0], wrong[1]))
  assert schema.text('\ud800')
  assert schema.text('a\0b')
  assert not schema.text('')
  assert not schema.text(os.fsdecode(b'caf\xe9'))  # A name in Latin-1.


# Names of classes.


@pytest.mark.slow
def test_names_of_classes_are_kept_beside_the_weights(root):
  for name in ('plain', 'own'):
    workdir = root / name
    assert record_lib.read_json(workdir / 'result.json')['classes'] == [
      *CLASSES
    ]
    assert weights.classes(workdir, weights.LAST) == CLASSES
  for name in ('plain', 'search'):
    record = space.read_record(root / name / 'architecture.json')
    assert record['classes'] == [*CLASSES]


@pytest.mark.slow
def test_names_of_classes_need_not_be_in_utf_8(tmp_path, monkeypatch):
  names = os.fsdecode(b'caf\xe9'), 'b', 'c'
  own = dataclasses.replace(SET, class_names=names)
  monkeypatch.setattr(sources, 'open_or_stream', lambda *_, **__: own)
  path = tmp_path / 'plain.json'
  tiny = spaces.tiny(num_classes=3)
  space.Architecture.from_indices(tiny, [0] * len(tiny.choices)).save(path)
  _train(tmp_path / 'run', architecture=str(path))
  assert set(train.evaluate(tmp_path / 'run', {})) == {'last'}
  assert weights.classes(tmp_path / 'run', weights.LAST) == names


@pytest.mark.slow
def test_a_result_of_before_has_a_hash_of_the_names(copied):
  workdir = copied('plain')
  hashed = record_lib.fingerprint(CLASSES)
  _edited(workdir / 'result.json', lambda d: d.update(classes=hashed))
  assert set(train.evaluate(workdir, {})) == {'last'}
  finished.teacher(workdir, SET, 0.5, 4.0)
  _edited(workdir / 'result.json', lambda d: d.update(classes=hashed[::-1]))
  refused('classes are not those of', finished.teacher, workdir, SET, 0.5, 4.0)


@pytest.mark.slow
def test_classes_in_another_order_are_others(copied):
  workdir = copied('plain')
  _edited(workdir / 'result.json', lambda d: d.update(classes=[*CLASSES][::-1]))
  refused('classes are not those of', finished.teacher, workdir, SET, 0.5, 4.0)


@pytest.mark.slow
def test_damaged_names_of_classes_are_one_line(copied):
  workdir = copied('plain')
  (path,) = (workdir / 'weights/last').glob('_CHECKPOINT_METADATA')
  _edited(path, lambda d: d.update(custom_metadata={'classes': 3}))
  refused("'classes', which is 3", weights.classes, workdir, 'last')
  _edited(path, lambda d: d.update(custom_metadata={}))
  assert weights.classes(workdir, 'last') is None
  _edited(path, lambda d: d.update(custom_metadata=3))
  refused('cannot be read as weights', weights.classes, workdir, 'last')
  refused('holds no finished', weights.classes, workdir, 'best')
