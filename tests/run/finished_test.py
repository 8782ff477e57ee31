"""Finished runs of an earlier version: read, tested, and not computed again.

`finished_runs/` holds the files of a search and of a training, without their
checkpoints and figures, as the scripts wrote them when flags were still plain
dicts:

  python -m experiments.search --workdir=search --space=tiny \\
    --limit=macs=60k --steps=12 --warmup_steps=4 --log_every=4 \\
    --checkpoint_every=12 --batch_size=16
  python -m experiments.train --workdir=train \\
    --architecture=search/architecture.json --epochs=1 --batch_size=500 \\
    --valid_fraction=0.1
"""

import json
import pathlib
import shutil

import pytest

from experiments import search, train
from experiments.flags import configs
from experiments.sweep import one_search
from nasjax import data, space
from nasjax.run import (
  finished,
  record,
  search_loop,
  searching,
  train_loop,
)
from nasjax.run.workdir import metrics_file
from tests.conftest import refused

OLD = pathlib.Path(__file__).parent / 'finished_runs'
SCRIPTS = {'search': search, 'train': train}


def _config(folder):
  return json.loads((folder / 'config.json').read_text())


@pytest.fixture
def runs(tmp_path, monkeypatch):
  """Copies of both, as if the libraries that are installed had made them.

  No step may be taken.
  """
  folder = tmp_path / 'runs'
  shutil.copytree(OLD, folder)
  for name in SCRIPTS:
    told = _config(folder / name) | {'versions': record.versions()}
    (folder / name / 'config.json').write_text(
      json.dumps(told, indent=1) + '\n'
    )
  monkeypatch.chdir(folder)  # From which the training names its network.

  def taken(*_, **__):
    raise AssertionError('a step was taken')

  monkeypatch.setattr(search_loop, 'run', taken)
  monkeypatch.setattr(train_loop, 'run', taken)
  return folder


def _files(folder):
  return {
    path.relative_to(folder): path.read_bytes()
    for path in folder.rglob('*')
    if path.is_file() and path.suffix != '.png'
  }


def _told(folder, **given):
  script = SCRIPTS[folder.name]
  return configs.of(script.Flags, _config(folder) | given)


@pytest.mark.parametrize('name', SCRIPTS)
def test_flags_are_recorded_as_they_were(name):
  """So a finished run is recognised: each flag, in its order and form."""
  found = _config(OLD / name)
  values = configs.of(SCRIPTS[name].Flags, found).values
  newer = {n: value for n, value in values.items() if n not in found}
  same = {n: value for n, value in values.items() if n in found}
  assert json.dumps(same) == json.dumps({n: found[n] for n in same})
  assert list(found)[: len(same)] == list(same)
  # A flag that is newer is null unless it is given, so that nothing differs.
  assert set(newer.values()) <= {None}


def test_a_finished_training_is_not_trained_again(runs):
  before = _files(runs)
  trained = train.train_as_told(_told(runs / 'train'), runs / 'train', '')
  assert trained.result == json.loads((OLD / 'train/result.json').read_text())
  assert trained.result['evaluated'] == 'best'
  assert set(trained.weights.params) == {
    'stem',
    'stage1_1',
    'stage2_1',
    'stage2_2',
    'head',
    'classifier',
  }
  assert _files(runs) == before


def test_a_finished_search_is_not_searched_again(runs):
  before = _files(runs)
  assert searching.is_finished(runs / 'search')
  found = search.run(_told(runs / 'search'), runs / 'search')
  told = json.loads((OLD / 'search/architecture.json').read_text())
  assert list(found.architecture.choice) == list(told['choice'].values())
  assert found.certificate.log_prob == told['certificate']['log_prob']
  assert _files(runs) == before


@pytest.mark.parametrize(
  ('name', 'given', 'message'),
  [
    ('train', {'epochs': 2}, 'epochs was 1 and is 2'),
    ('train', {'distill_weight': 0.5, 'seed': 1}, 'seed was 0 and is 1'),
    ('search', {'steps': 13}, 'steps was 12 and is 13'),
    ('search', {'limit': ['macs=61k']}, r"limit was \['macs=60k'\] and is"),
  ],
)
def test_other_flags_are_refused_and_change_nothing(runs, name, given, message):
  before = _files(runs)
  run = train.train_as_told if name == 'train' else search.run
  refused(message, run, _told(runs / name, **given), runs / name, '')
  assert _files(runs) == before


def test_a_finished_training_is_tested_again_as_it_was_recorded(runs):
  before = _files(runs)
  found = train.evaluate(runs / 'train', {'epochs': 1})
  result = json.loads((OLD / 'train/result.json').read_text())
  for name in ('last', 'best'):
    # Of another processor a few of 10,000 images may fall to the other side.
    assert found[name] == pytest.approx(
      result[f'{name}_test_accuracy'], abs=1e-3
    )
  assert set(found) == {'last', 'best'}
  refused('epochs=1, not 2', train.evaluate, runs / 'train', {'epochs': 2})
  assert _files(runs) == before


def test_both_are_read_by_what_goes_on_from_them(runs):
  a, found, images = one_search.read(runs / 'search')
  assert a == space.Architecture.load(runs / 'search/architecture.json')
  assert found['resources']['macs']['limit'] == 60_000
  assert images.source.dataset == 'fashion_mnist_5k'
  teacher = finished.teacher(runs / 'train', data.load(), 0.5, 4.0)
  assert teacher.record['workdir'] == str(runs / 'train')
  assert [row['step'] for row in metrics_file.read(runs / 'search')] == [
    4,
    8,
    12,
  ]
  assert finished.read(runs / 'train').network == a.space.fix(a)


def test_the_files_name_no_folder_of_a_machine():
  for path, content in _files(OLD).items():
    if path.suffix in ('.json', '.jsonl'):
      for before in b'"', b'=', b' ':
        assert before + b'/' not in content, path
