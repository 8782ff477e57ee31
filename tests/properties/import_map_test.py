"""Imports inside nasjax follow its map: no package imports a later one."""

import ast
import pathlib
import re

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parents[2] / 'nasjax'
# Each may import those before it.
MODULES = 'errors', 'files', 'printable', 'checks', 'options'
ORDER = [*MODULES, 'ops', 'space', 'spaces', 'zoo', 'supernet', 'relax']
ORDER += ['count', 'latency', 'cost', 'constraint', 'guard', 'data', 'train']
ORDER += ['search', 'derive', 'report', 'baselines', 'run', 'export']
PLACES = {name: i for i, name in enumerate(ORDER)}
# Spaces make their supernets when they are asked to; the modules load late.
LATE = {('space/chain.py', 'supernet'), ('space/cell_space.py', 'supernet')}


def _room(path):
  return path.relative_to(PACKAGE).with_suffix('').parts[0]


def _imports(path):
  """The packages of nasjax that a file imports, wherever in it."""
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.ImportFrom) and node.module == 'nasjax':
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
      if node.module.startswith('nasjax.'):
        yield node.module.split('.')[1]
    elif isinstance(node, ast.Import):
      for alias in node.names:
        assert not alias.name.startswith('nasjax'), path


FILES = sorted(p for p in PACKAGE.rglob('*.py') if p.parent != PACKAGE)
FILES += [PACKAGE / f'{name}.py' for name in MODULES]


@pytest.mark.parametrize('path', FILES, ids=lambda p: str(p.name))
def test_no_import_runs_against_the_map(path):
  own, place = _room(path), path.relative_to(PACKAGE).as_posix()
  later = [
    n
    for n in _imports(path)
    if PLACES[n] > PLACES[own] and (place, n) not in LATE
  ]
  assert later == []


def test_every_package_has_its_place():
  there = {p.parent.name for p in PACKAGE.glob('*/__init__.py')}
  assert there == set(PLACES) - set(MODULES)


def test_the_library_imports_neither_scripts_nor_flags():
  """It is installed and used without them."""
  foreign = {'benchmarks', 'experiments', 'tests', 'absl.flags', 'absl.app'}
  for path in PACKAGE.rglob('*.py'):
    for node in ast.walk(ast.parse(path.read_text())):
      if isinstance(node, ast.Import):
        found = {alias.name for alias in node.names}
      elif isinstance(node, ast.ImportFrom):
        assert not node.level, path  # Else the map would not see it.
        found = {f'{node.module}.{alias.name}' for alias in node.names}
      else:
        continue
      rooms = {name.partition('.')[0] for name in found}
      assert not foreign & (found | rooms), path


PACKAGES = sorted(p.parent.name for p in PACKAGE.glob('*/__init__.py'))


@pytest.mark.parametrize('name', PACKAGES)
def test_what_a_package_lists_is_there(name):
  module = __import__(f'nasjax.{name}', fromlist=['_'])
  assert module.__all__
  for public in module.__all__:
    assert hasattr(module, public)


# Slots and patterns are words of one kind of space, the chain. Spaces of cells
# have the module of a slot around their cells.
CHAIN = re.compile(
  r'(?<!space)\.slots\b|\.patterns\b|\bat_pattern\b|\[.pattern.\]'
)
OF_CHAINS = (
  'space/__init__.py',
  'space/chain',
  'space/json_file.py',
  'space/slots.py',
  'spaces/',
  'zoo/',
  'supernet/',
  'train/drop_path.py',
  'report/architecture.py',
  'baselines/handmade.py',
)


@pytest.mark.parametrize('path', FILES, ids=lambda p: str(p.name))
def test_only_the_rooms_of_chains_know_slots_and_patterns(path):
  place = path.relative_to(PACKAGE).as_posix()
  known = [line for line in path.read_text().split('\n') if CHAIN.search(line)]
  assert place.startswith(OF_CHAINS) or known == []
