"""Files of spaces that are no chain."""

import json

import pytest

from nasjax import space, spaces
from nasjax.space import Architecture, Proxy, kinds
from tests.conftest import refused
from tests.supernet.cell_cases import tiny

TINY = tiny()
PROXY = Proxy(TINY, tiny(layers=1, affine=False))


def _saved(tmp_path, s, indices=(3, 0, 2)):
  a = Architecture.from_indices(s, indices)
  a.save(tmp_path / 'a.json', seed=3)
  return a, tmp_path / 'a.json'


@pytest.mark.parametrize('s', [TINY, PROXY, spaces.nasbench201()])
def test_a_file_gives_back_an_equal_architecture(s, tmp_path):
  indices = [3, 0, 2, 1, 4, 2][: len(space.axes(s.choices))]
  a, path = _saved(tmp_path, s, indices)
  assert Architecture.load(path) == a
  network = Architecture(s.fix(a), ())
  network.save(tmp_path / 'network.json')
  assert Architecture.load(tmp_path / 'network.json') == network


def test_a_file_of_a_chain_has_no_kind_as_before(tmp_path):
  a = Architecture.from_indices(spaces.tiny(), (0, 0, 0))
  a.save(tmp_path / 'a.json')
  document = json.loads((tmp_path / 'a.json').read_text())
  assert 'kind' not in document['space']
  document['space']['kind'] = 'chain'
  (tmp_path / 'a.json').write_text(json.dumps(document))
  assert Architecture.load(tmp_path / 'a.json') == a


def _edge(document):
  return document['space']['cells'][0]['edges'][0]


@pytest.mark.parametrize(
  ('edit', 'message'),
  [
    (lambda d: d['space'].update(kind='graph'), "kind 'graph'; .* knows chain"),
    (lambda d: _edge(d)['ops'][2].update(op='Own'), "op 'Own' does not exist"),
    (lambda d: _edge(d)['ops'][2].update(kernel=2), 'odd kernel'),
    (lambda d: _edge(d).update(target=2**40), 'edges into'),
    (lambda d: _edge(d).update(colour=1), 'colour'),
    (lambda d: d['space']['layers'][1].update(features=0), 'has features 0'),
    (lambda d: d['space']['layers'][1].update(cell='x'), "got 'x'"),
    (lambda d: d['space']['cells'][0].update(affine=3), 'affine 3'),
    (lambda d: d['space'].update(image_size=2.5), 'image_size'),
    (lambda d: d['space'].pop('cells'), 'missing'),
    (lambda d: d['choice'].update(edges=['none']), 'takes 3 options in a list'),
    (lambda d: d['choice'].update(edges=['no'] * 3), "'no' is no option of"),
  ],
)
def test_what_no_file_has_is_refused_in_a_line(tmp_path, edit, message):
  _, path = _saved(tmp_path, TINY)
  document = json.loads(path.read_text())
  edit(document)
  path.write_text(json.dumps(document))
  refused(message, Architecture.load, path)


def test_a_proxy_of_a_proxy_is_refused(tmp_path):
  _, path = _saved(tmp_path, PROXY)
  document = json.loads(path.read_text())
  for part in (dict(document['space']), [], None):
    document['space']['full'] = part
    path.write_text(json.dumps(document))
    refused('architecture file', Architecture.load, path)
  a = Architecture.from_indices(Proxy(PROXY, TINY), (3, 0, 2))
  refused('which no file can hold', a.save, tmp_path / 'b.json')


def test_a_space_of_ones_own_is_held_by_no_file(tmp_path):
  class Own:
    name, choices = 'own', TINY.choices

  assert not kinds.is_written(Own())
  assert not kinds.is_written(Proxy(Own(), TINY))
  assert not kinds.is_written(Proxy(PROXY, TINY))
  message = "space 'own' is a Own, which no file can hold"
  a = Architecture.from_indices(Own(), (0, 0, 0))
  refused(message, a.save, tmp_path / 'a.json')
  assert not list(tmp_path.iterdir())


def test_files_name_ops_by_their_classes():
  names = {t.__name__ for t in space.op_types(PROXY)}
  assert {'Zero', 'ReluConv', 'Norm', 'Classifier'} < names
  a, b = (
    TINY.fix(Architecture.from_indices(TINY, i)) for i in ((3, 0, 2), (3, 1, 2))
  )
  assert space.chosen_ops(a)['edges[1]'] == 'none'
  assert space.difference(a, a) == ''
  assert space.difference(a, b) == 'edges[1] is none, not skip_connect'
  assert 'sizes' in space.difference(a, space.resize(a, image_size=9))
