"""Architecture files: there and back, and what is refused."""

import dataclasses
import json

import pytest

from nasjax import ops, space, spaces
from nasjax.errors import InputError


@pytest.mark.parametrize(
  'preset',
  [spaces.tiny, spaces.tiny_width, spaces.tiny_macro, spaces.mobile_small],
)
def test_json_gives_back_an_equal_architecture(preset, tmp_path, draw):
  a = draw(preset())
  a.save(tmp_path / 'a.json', seed=3)
  assert space.Architecture.load(tmp_path / 'a.json') == a
  assert space.read_record(tmp_path / 'a.json')['seed'] == 3


@dataclasses.dataclass(frozen=True)
class Own:
  """An op of the user's own."""

  kernel: int = 3
  name = 'own'

  def fits(self, in_features, features, stride):
    return True

  def module(self, features, stride, numerics):
    return ops.Conv(self.kernel).module(features, stride, numerics)


def test_ops_of_ones_own_are_loaded_only_when_given(tmp_path):
  slots = (space.Slot('a', (Own(3), ops.Conv(5)), 4),)
  a = space.Architecture(space.Space('s', 8, 1, slots), ('own',))
  a.save(tmp_path / 'a.json')
  assert space.Architecture.load(tmp_path / 'a.json', ops=(Own,)) == a
  with pytest.raises(InputError, match="op 'Own' does not exist"):
    space.Architecture.load(tmp_path / 'a.json')


def _edited(path, edit):
  document = json.loads(path.read_text())
  edit(document)
  path.write_text(json.dumps(document))


@pytest.mark.parametrize(
  ('edit', 'message'),
  [
    (lambda d: d.update(format=99), 'has format 99'),
    (lambda d: d.pop('format'), 'no architecture file'),
    (lambda d: d.pop('space'), 'missing'),
    (lambda d: d['choice'].update(stage1_1='x'), "'x' is no option of stage"),
    (lambda d: d['choice'].pop('stage1_1'), 'its choice names the slots'),
    (lambda d: d['space']['slots'][0].update(colour=1), 'colour'),
    (lambda d: d['space']['slots'][0]['ops'][0].update(op='X'), "'X' does not"),
    (lambda d: d['space']['slots'][0]['ops'][0].update(kernel=4), 'odd kernel'),
    (lambda d: d['space'].update(slots=3), 'int'),
    (lambda d: d['space'].update(name=3), 'the name 3 is no text'),
    (lambda d: d['space']['slots'][0].update(name=['a']), 'is no text'),
    (lambda d: d['space']['slots'][0].update(name='\ud800'), 'surrogates'),
    (lambda d: d['space']['slots'][0].update(features=10**10), 'at most'),
    (lambda d: d['space']['slots'][0].update(stride=float('inf')), 'at most'),
    (lambda d: d['space']['slots'][0]['ops'][0].update(kernel=3001), 'at most'),
  ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path, draw, edit, message):
  path = tmp_path / 'a.json'
  draw(spaces.tiny()).save(path)
  _edited(path, edit)
  with pytest.raises(InputError, match=message) as e:
    space.Architecture.load(path)
  assert '\n' not in str(e.value)
  assert str(path) in str(e.value)


def test_a_truncated_or_missing_file_is_said_so(tmp_path, draw):
  path = tmp_path / 'a.json'
  draw(spaces.tiny()).save(path)
  path.write_text(path.read_text()[:200])
  with pytest.raises(InputError, match='truncated'):
    space.Architecture.load(path)
  with pytest.raises(InputError, match='No such file'):
    space.Architecture.load(tmp_path / 'none.json')


def _places(value, path=()):
  """Paths of all that a JSON value holds."""
  items = enumerate(value) if isinstance(value, list) else value.items()
  for key, part in items:
    yield (*path, key)
    if isinstance(part, dict | list):
      yield from _places(part, (*path, key))


VALUES = 1.5, -1, 0, 'x', None, [1], {}, True, 10**30, float('inf'), '\ud800'


def test_whatever_is_wrong_in_a_space_is_one_line_or_a_space(tmp_path, draw):
  """Every field, replaced by what a damaged or foreign file may hold."""
  a = draw(spaces.tiny_width())
  path = tmp_path / 'a.json'
  a.save(path)
  whole, read, refused = json.loads(path.read_text()), 0, 0
  for *outer, last in _places(whole['space']):
    for value in VALUES:
      document = json.loads(json.dumps(whole))
      part = document['space']
      for key in outer:
        part = part[key]
      part[last] = value
      path.write_text(json.dumps(document))
      try:
        hash(space.Architecture.load(path))
        read += 1
      except InputError:
        refused += 1
  assert refused > 10 * read > 0


def test_a_pattern_for_each_stride_is_one_line(tmp_path, draw):
  """One stride in a list, where the space has two places to downsample."""
  path = tmp_path / 'a.json'
  draw(spaces.tiny_macro()).save(path)
  _edited(path, lambda d: d['space']['slots'][1].update(stride=[1]))
  with pytest.raises(InputError, match='requires a stride for each of 2'):
    space.Architecture.load(path)


def test_widths_without_an_end_are_one_line(tmp_path, draw):
  path = tmp_path / 'a.json'
  draw(spaces.tiny_width()).save(path)
  for wrong in ([8, float('inf')], [float('nan'), 8], ['8', '16'], [[8], 9]):

    def edit(d, wrong=wrong):
      for slot in d['space']['slots']:
        if isinstance(slot['features'], dict):
          slot['features']['options'] = wrong

    _edited(path, edit)
    with pytest.raises(InputError):
      space.Architecture.load(path)


def test_a_file_that_is_nested_without_end_is_refused(tmp_path):
  path = tmp_path / 'a.json'
  path.write_text('[' * 100_000)
  with pytest.raises(InputError, match='truncated or no JSON'):
    space.Architecture.load(path)
