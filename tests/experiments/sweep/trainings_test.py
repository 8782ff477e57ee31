"""Trainings of a sweep: where they are kept, and which are over."""

import pytest

from experiments.sweep import trainings
from experiments.sweep.plan import Training
from experiments.sweep.setting import Setting
from nasjax import files
from nasjax.errors import DivergedError
from nasjax.run.workdir import diverged_file
from tests.conftest import refused

ONE, OTHER = Training('one', 0), Training('one', 1)
RESULT = {'test_accuracy': 0.5, 'test_images': 9, 'macs': 1, 'params': 2}
RESULT |= {'network': 'n', 'dataset': 'd', 'valid_accuracy': 0.4}
RESULT |= {'device': 'cpu'}


def _setting(workdir, valid=(), **fields):
  rest = None, 'macs', None, valid, None, None, (), 'a command'
  return Setting(workdir, *rest)._replace(**fields)


@pytest.mark.parametrize(
  ('layout', 'folder'),
  [(None, 'trainings/one_seed1'), ('{folder}', 'one')],
)
def test_a_training_is_kept_by_the_layout(tmp_path, layout, folder):
  own = {} if layout is None else {'layout': layout}
  found = trainings.folder_of(_setting(tmp_path, **own), OTHER)
  assert found == tmp_path / folder


def _write(setting, one, result):
  folder = trainings.folder_of(setting, one)
  folder.mkdir(parents=True)
  files.write_json(folder / 'result.json', result)


def test_only_finished_trainings_have_results(tmp_path):
  setting = _setting(tmp_path)
  assert trainings.results(setting, [ONE, OTHER]) == {}
  _write(setting, ONE, RESULT)
  assert trainings.results(setting, [ONE, OTHER]) == {ONE: RESULT}


def test_a_result_without_validation_is_refused_where_there_was_one(tmp_path):
  setting = _setting(tmp_path)
  _write(
    setting, ONE, {k: v for k, v in RESULT.items() if k != 'valid_accuracy'}
  )
  refused("has no 'valid_accuracy'", trainings.results, setting, [ONE])
  without = setting._replace(valid=None)
  assert set(trainings.results(without, [ONE])) == {ONE}


def test_trainings_that_diverged_are_told_apart(tmp_path):
  setting = _setting(tmp_path)
  folder = trainings.folder_of(setting, OTHER)
  folder.mkdir(parents=True)
  with pytest.raises(DivergedError), diverged_file.written(folder):
    raise DivergedError('so')
  assert trainings.diverged(setting, [ONE, OTHER]) == [OTHER]
