"""Tests mirror the tree: each module has a test file of its name."""

import ast
import importlib
import pathlib
import types

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Modules that the file named beside each tests as a whole.
ELSEWHERE = {
  'nasjax/constraint/forms.py': 'properties/compose_test.py',
  'nasjax/derive/layers.py': 'derive/meet_in_middle_test.py',
  'nasjax/derive/problem.py': 'derive/meet_in_middle_test.py',
  'nasjax/errors.py': 'experiments/sweep/main_test.py',
  'nasjax/export/build.py': 'export/write_test.py',
  'nasjax/export/litert_converter.py': 'export/litert_file_test.py',
  'nasjax/export/litert_runtime.py': 'export/litert_file_test.py',
  'nasjax/export/onnx_file.py': 'export/write_test.py',
  'nasjax/export/onnx_fuse.py': 'export/onnx_trace_test.py',
  'nasjax/export/onnx_graph.py': 'export/onnx_trace_test.py',
  'nasjax/export/onnx_nodes.py': 'export/onnx_trace_test.py',
  'nasjax/export/stablehlo_program.py': 'export/warned_test.py',
  'nasjax/export/verified.py': 'export/write_test.py',
  'nasjax/printable.py': 'report/markup_test.py',
  'nasjax/run/config.py': 'experiments/search_test.py',
  'nasjax/run/datasets.py': 'experiments/flags/sources_test.py',
  'nasjax/run/hosts/rendezvous.py': 'run/hosts/processes_test.py',
  'nasjax/run/inputs.py': 'run/finalists_test.py',
  'nasjax/run/kept_programs.py': 'run/compilation_test.py',
  'nasjax/run/holdout.py': 'data/splits_test.py',
  'nasjax/run/search_loop.py': 'experiments/search_test.py',
  'nasjax/run/train_network.py': 'run/searching_test.py',
  'nasjax/run/workdir/checkpoint_digest.py': 'run/workdir/checkpoints_test.py',
  'nasjax/run/workdir/diverged_file.py': 'run/divergence_test.py',
  'nasjax/run/workdir/holder.py': 'run/workdir/lock_test.py',
  'nasjax/run/workdir/stored.py': 'run/workdir/checkpoints_test.py',
  'nasjax/run/workdir/weights.py': 'run/training_test.py',
  'nasjax/search/constrained.py': 'search/step_test.py',
  'nasjax/search/state.py': 'search/step_test.py',
  'nasjax/space/block.py': 'cost/blocks_test.py',
  'nasjax/space/chain_tables.py': 'cost/blocks_test.py',
  'nasjax/space/choices.py': 'cost/base_test.py',
  'nasjax/space/table.py': 'cost/tables_test.py',
  'nasjax/train/recipe.py': 'run/training_test.py',
  'experiments/flags/cli.py': 'experiments/messages_test.py',
  'experiments/flags/configs.py': 'experiments/sweep/sweep_flags_test.py',
  'experiments/flags/early.py': 'experiments/flags/allocator_test.py',
  'experiments/flags/hosts.py': 'options_test.py',
  'experiments/flags/presets.py': 'run/training_test.py',
  'experiments/flags/ran.py': 'experiments/export_test.py',
  'experiments/flags/programs.py': 'options_test.py',
  'experiments/flags/published.py': 'experiments/readme_test.py',
  'experiments/predict.py': 'experiments/export_test.py',
  'experiments/sweep/__main__.py': 'options_test.py',
  'experiments/sweep/dry.py': 'experiments/sweep/main_test.py',
  'experiments/sweep/networks.py': 'experiments/sweep/plan_test.py',
  'experiments/sweep/one_search.py': 'experiments/compare_test.py',
  'experiments/sweep/one_search_page.py': 'experiments/compare_test.py',
  'experiments/sweep/page.py': 'experiments/results_test.py',
  'experiments/sweep/ranks.py': 'experiments/results_test.py',
  'experiments/sweep/report.py': 'experiments/sweep/main_test.py',
  'experiments/sweep/setting.py': 'experiments/sweep/sweep_flags_test.py',
  'experiments/sweep/setup.py': 'experiments/sweep/plan_test.py',
}


def _modules():
  for folder in ('nasjax', 'experiments'):
    for path in sorted((ROOT / folder).rglob('*.py')):
      if path.name != '__init__.py':
        yield path.relative_to(ROOT)


def _test_of(module):
  """`tests/ops/core_test.py` of `nasjax/ops/core.py`."""
  parts = module.parts if module.parts[0] == 'experiments' else module.parts[1:]
  return pathlib.Path('tests', *parts[:-1], f'{module.stem}_test.py')


@pytest.mark.parametrize('module', [*_modules()], ids=str)
def test_each_module_has_a_test_file_of_its_name(module):
  own = ROOT / _test_of(module)
  other = ELSEWHERE.get(str(module))
  if other is None:
    assert own.is_file()
  else:
    assert not own.is_file(), 'it is no exception any more'
    assert (ROOT / 'tests' / other).is_file()


def test_each_exception_is_a_module():
  assert set(ELSEWHERE) <= {str(module) for module in _modules()}


def _imported(tree):
  """Name in a file to what it imports: modules, functions, classes."""
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      for alias in node.names:
        first = alias.name if alias.asname else alias.name.partition('.')[0]
        yield alias.asname or first, importlib.import_module(first)
    elif isinstance(node, ast.ImportFrom):
      package = importlib.import_module(node.module)
      for alias in node.names:
        if not hasattr(package, alias.name):
          importlib.import_module(f'{node.module}.{alias.name}')
        yield alias.asname or alias.name, getattr(package, alias.name)


def used(source):
  """Names of the modules whose parts a test file names.

  A part may be named by its module or by a package that exports it.
  """
  tree = ast.parse(source)
  found, names = set(), {}
  for name, value in _imported(tree):
    names.setdefault(name, []).append(value)

  def values(node):
    if isinstance(node, ast.Name):
      return names.get(node.id, [])
    if isinstance(node, ast.Attribute):
      owners = (
        o for o in values(node.value) if isinstance(o, types.ModuleType)
      )
      return [getattr(o, node.attr) for o in owners if hasattr(o, node.attr)]
    return []

  each = [value for own in names.values() for value in own]
  each += [value for node in ast.walk(tree) for value in values(node)]
  for value in each:
    is_module = isinstance(value, types.ModuleType)
    found.add(value.__name__ if is_module else getattr(value, '__module__', ''))
  return found


@pytest.mark.parametrize('module', ELSEWHERE)
def test_a_test_file_of_another_name_uses_the_module(module):
  source = (ROOT / 'tests' / ELSEWHERE[module]).read_text()
  name = module.removesuffix('.py').replace('/', '.')
  assert name in used(source)


def test_a_module_is_used_by_its_own_name_or_by_that_of_a_package():
  by_name = 'from nasjax.derive import solve as s\ns.solution()'
  by_package = 'from nasjax import derive\nderive.solution()'
  by_object = 'from nasjax.derive import solution'
  for source in (by_name, by_package, by_object):
    assert 'nasjax.derive.solve' in used(source)
    assert 'nasjax.derive.milp' not in used(source)
  # A word in a text, or another attribute of that name, is no use.
  assert 'nasjax.derive.solve' not in used("'nasjax.derive.solve'")
  assert 'nasjax.derive.solve' not in used('from nasjax import derive')
