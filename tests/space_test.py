"""Spaces and architectures: JSON there and back, refusals, fixing."""

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


def test_spaces_are_static():
  assert hash(spaces.mobile_small()) == hash(spaces.mobile_small())
  with pytest.raises(dataclasses.FrozenInstanceError):
    spaces.tiny().name = 'other'


def test_fix_keeps_the_chosen_op_alone(draw):
  a = draw(spaces.mobile_small())
  fixed = space.fix(a.space, a)
  assert not fixed.choices
  kept = {s.name: s.ops[0].name for s in fixed.slots}
  for slot, name in zip(a.space.choices, a.choice, strict=True):
    assert kept[slot] == name


def test_skip_stands_only_where_shapes_stay():
  for slot, before in zip(
    spaces.mobile_224().slots[1:], spaces.mobile_224().slots, strict=False
  ):
    skippable = slot.stride == 1 and slot.features == before.features
    if len(slot.ops) > 1:
      assert ('skip' in slot.op_names) == skippable


def test_one_hot_and_argmax_are_inverse(draw):
  a = draw(spaces.mobile_small())
  assert space.argmax(a.space, space.one_hot(a)) == a


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


def _patterned(patterns, stride, name='a'):
  slot = space.Slot(name, (ops.Conv(3),), 4, stride)
  return space.Space('s', 8, 1, (slot,), patterns)


@pytest.mark.parametrize(
  'make',
  [
    lambda: space.Slot('s', (), 4),
    lambda: space.Slot('s', (ops.Conv(3),), 0),
    lambda: space.Slot('s', (ops.Conv(3), ops.Conv(3)), 4),
    lambda: space.Space('s', 8, 1, (space.Slot('a', (ops.Skip(),), 4),)),
    lambda: space.Width('w', (8,)),
    lambda: space.Width('w', (8, 4)),
    lambda: _patterned(('one',), 2),
    lambda: _patterned(('same', 'same'), (1, 2)),
    lambda: _patterned(('a', 'b'), (1, 2, 1)),
    lambda: _patterned(('a', 'b'), 1, name='pattern'),
    lambda: ops.Conv(2),
    lambda: ops.MBConv(3, 0),
    lambda: ops.MBConv(3, 1, 'gelu'),
    lambda: ops.Classifier(1.0),
  ],
)
def test_impossible_structures_are_refused(make):
  with pytest.raises(ValueError, match=r'requires|does not fit'):
    make()
