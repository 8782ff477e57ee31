"""Files of prepared TFDS sets: no module is imported that one of them names."""

import json
import sys

import numpy as np
import pytest

from nasjax import data
from nasjax.data import stream, tfds_files
from tests.conftest import COLOURS, refused
from tests.conftest import images as _images
from tests.conftest import prepare_tfds as _prepare

EVIL = 'evil_features.Evil'
OWN = 'tensorflow_datasets.core.features.'


@pytest.fixture
def prepared(tmp_path, monkeypatch):
  """The folder of a set, beside a module that says that it was imported."""
  folder = _prepare(tmp_path / 'data', _images(40), np.arange(40) % 3)
  (tmp_path / 'evil_features.py').write_text(
    'import pathlib\npathlib.Path(__file__).with_name("ran").touch()\n'
  )
  monkeypatch.syspath_prepend(tmp_path)
  yield folder
  assert not (tmp_path / 'ran').exists()
  assert 'evil_features' not in sys.modules


def _edited(path, edit):
  document = json.loads(path.read_text())
  edit(document)
  path.write_text(json.dumps(document))


def _more(feature):
  """Adds a feature beside image and label."""
  return lambda d: d['featuresDict']['features'].update(more=feature)


def _nested(**content):
  return {'pythonClassName': f'{OWN}sequence_feature.Sequence', **content}


def _json(value):
  return {'jsonFeature': {'json': json.dumps(value)}}


LEGACY = {'type': EVIL, 'content': {}}
FEATURES = {
  'a feature': _more({'pythonClassName': EVIL, **_json({})}),
  'the other spelling': _more({'python_class_name': EVIL, **_json({})}),
  'the whole': lambda d: d.update(pythonClassName=EVIL),
  'in a sequence': _more(
    _nested(sequence={'feature': {'pythonClassName': EVIL, **_json({})}})
  ),
  'in JSON within JSON': _more(
    {
      'pythonClassName': f'{OWN}dataset_feature.Dataset',
      **_json({'feature': LEGACY, 'length': None}),
    }
  ),
  'in a dictionary within JSON': _more(
    {
      'pythonClassName': f'{OWN}features_dict.FeaturesDict',
      **_json({'one': LEGACY}),
    }
  ),
  'of before': lambda d: (d.clear(), d.update(LEGACY)),
  'one of TFDS outside its features': _more(
    {'pythonClassName': 'tensorflow_datasets.testing.Evil', **_json({})}
  ),
  'as if it were one of them': _more(
    {'pythonClassName': f'{OWN}.evil_features.Evil', **_json({})}
  ),
}


@pytest.mark.parametrize('edit', FEATURES.values(), ids=FEATURES)
@pytest.mark.parametrize('read', [data.load, stream.open_set])
def test_other_classes_than_those_of_tfds_are_refused(prepared, edit, read):
  path = prepared / 'features.json'
  _edited(path, edit)
  before = path.read_text()
  message = (
    f'{path} names the feature class .*tensorflow_datasets.core.features'
  )
  refused(message, read, 'colours', prepared.parents[1])
  refused(message, read, 'colours:1.0.0', prepared.parents[1])
  assert path.read_text() == before


def test_features_of_the_other_file_are_checked_as_well(prepared):
  """TFDS takes those of `dataset_info.json` before those of features.json."""
  own = json.loads((prepared / 'features.json').read_text())
  _edited(prepared / 'dataset_info.json', lambda d: d.update(features=own))
  assert data.load('colours', prepared.parents[1]).class_names == COLOURS
  FEATURES['a feature'](own)
  _edited(prepared / 'dataset_info.json', lambda d: d.update(features=own))
  refused(
    f'dataset_info.json names the feature class .{EVIL}',
    *(data.load, 'colours', prepared.parents[1]),
  )


@pytest.mark.parametrize(
  'feature',
  [
    {'pythonClassName': f'{OWN}text_feature.Text', 'text': {}},
    _nested(
      sequence={
        'feature': {
          'pythonClassName': f'{OWN}tensor_feature.Tensor',
          'tensor': {'shape': {}, 'dtype': 'int64', 'encoding': 'none'},
        },
        'length': '-1',
      }
    ),
  ],
)
def test_classes_of_tfds_are_let_through_at_any_depth(prepared, feature):
  _edited(prepared / 'features.json', _more(feature))
  tfds_files.check_folder(prepared.parent)


def test_a_feature_may_be_called_type(prepared):
  feature = {'pythonClassName': f'{OWN}text_feature.Text', 'text': {}}
  edit = lambda d: d['featuresDict']['features'].update(type=feature)  # noqa: E731
  _edited(prepared / 'features.json', edit)
  tfds_files.check_folder(prepared.parent)


@pytest.mark.parametrize(
  ('file', 'edit', 'message'),
  [
    (
      'dataset_info.json',
      lambda d: d['splits'][0].update(filepathTemplate='/dev/{SPLIT}'),
      "filepathTemplate '/dev/{SPLIT}', which would lead out",
    ),
    (
      'dataset_info.json',
      lambda d: d['splits'][0].update(name='../../train'),
      "name '../../train', which would lead out",
    ),
    (
      'dataset_info.json',
      lambda d: d.update(name='../colours'),
      "name '../colours', which would lead out",
    ),
    (
      '../.config/metadata.json',
      lambda d: d.update(default_config_name='../../evil'),
      "default configuration '../../evil', which would lead out",
    ),
  ],
)
def test_paths_out_of_the_folder_are_refused(prepared, file, edit, message):
  path = prepared / file
  path.parent.mkdir(exist_ok=True)
  if not path.exists():
    path.write_text('{}')
  _edited(path, edit)
  refused(message, data.load, 'colours', prepared.parents[1])


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('huggingface:colours', "namespace 'huggingface'"),
    ('colours/config=../../evil', "configuration '../../evil'"),
    ('colours/..:1.0.0', r"configuration '\.\.'"),
  ],
)
def test_names_that_lead_elsewhere_are_refused(prepared, name, message):
  refused(message, data.load, name, prepared.parents[1])


@pytest.mark.parametrize('text', ['', '[' * 100_000, '{"a": ', b'\xff\xfe'])
@pytest.mark.parametrize('file', ['features.json', 'dataset_info.json'])
def test_damaged_descriptions_are_one_line(prepared, file, text):
  raw = text if isinstance(text, bytes) else text.encode()
  (prepared / file).write_bytes(raw)
  refused(
    f'{file} is truncated or no JSON', data.load, 'colours', prepared.parents[1]
  )
