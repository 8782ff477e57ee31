"""Tests mirror the tree: each module has a test file of its name."""

import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Modules that the file named beside each tests as a whole.
ELSEWHERE = {
  'nasjax/baselines/adapted.py': 'baselines/scaled_test.py',
  'nasjax/constraint/forms.py': 'run/limits_test.py',
  'nasjax/search/constrained.py': 'search/step_test.py',
  'nasjax/search/judge.py': 'search/contributions_test.py',
  'nasjax/derive/finalists.py': 'run/finalists_test.py',
  'nasjax/derive/found.py': 'derive/certificate_test.py',
  'nasjax/derive/halves.py': 'derive/sample_test.py',
  'nasjax/derive/milp.py': 'derive/solve_test.py',
  'nasjax/derive/layers.py': 'derive/meet_in_middle_test.py',
  'nasjax/derive/problem.py': 'derive/solve_test.py',
  'nasjax/derive/lagrangian_bound.py': 'derive/meet_in_middle_test.py',
  'nasjax/errors.py': 'experiments/command_test.py',
  'nasjax/printable.py': 'report/markup_test.py',
  'nasjax/run/config.py': 'experiments/search_test.py',
  'nasjax/run/config_checks.py': 'experiments/search_test.py',
  'nasjax/run/datasets.py': 'experiments/flags/sources_test.py',
  'nasjax/run/hosts/relay.py': 'run/hosts/processes_test.py',
  'nasjax/run/hosts/rendezvous.py': 'run/hosts/processes_test.py',
  'nasjax/run/hosts/watch.py': 'run/hosts/processes_test.py',
  'nasjax/run/inputs.py': 'run/workdir/schema_test.py',
  'nasjax/run/kept_programs.py': 'run/compilation_test.py',
  'nasjax/run/holdout.py': 'data/splits_test.py',
  'nasjax/run/piecewise.py': 'run/training_test.py',
  'nasjax/run/search_loop.py': 'experiments/search_test.py',
  'nasjax/run/train_network.py': 'run/searching_test.py',
  'nasjax/run/trained.py': 'run/training_test.py',
  'nasjax/run/workdir/checkpoint_digest.py': 'run/workdir/checkpoints_test.py',
  'nasjax/run/workdir/diverged_file.py': 'run/divergence_test.py',
  'nasjax/run/workdir/holder.py': 'run/workdir/lock_test.py',
  'nasjax/run/workdir/stored.py': 'run/workdir/checkpoints_test.py',
  'nasjax/run/workdir/weights.py': 'run/training_test.py',
  'nasjax/search/form.py': 'search/make_test.py',
  'nasjax/search/state.py': 'search/step_test.py',
  'nasjax/space/block.py': 'space/slots_test.py',
  'nasjax/space/chain_tables.py': 'space/json_file_test.py',
  'nasjax/space/chain_names.py': 'space/json_file_test.py',
  'nasjax/space/choices.py': 'space/architecture_test.py',
  'nasjax/space/protocol.py': 'space/chain_test.py',
  'nasjax/space/table.py': 'cost/tables_test.py',
  'nasjax/train/recipe.py': 'run/training_test.py',
  'experiments/flags/cli.py': 'experiments/command_test.py',
  'experiments/flags/configs.py': 'experiments/flag_sets_test.py',
  'experiments/flags/early.py': 'experiments/flags/allocator_test.py',
  'experiments/flags/hosts.py': 'run/hosts/processes_test.py',
  'experiments/flags/limits.py': 'run/limits_test.py',
  'experiments/flags/presets.py': 'run/training_test.py',
  'experiments/flags/programs.py': 'run/compilation_test.py',
  'experiments/flags/published.py': 'experiments/readme_test.py',
  'experiments/sweep/__main__.py': 'experiments/sweep/kept_test.py',
  'experiments/sweep/dry.py': 'experiments/sweep/main_test.py',
  'experiments/sweep/figures.py': 'experiments/sweep/main_test.py',
  'experiments/sweep/method_page.py': 'experiments/sweep/main_test.py',
  'experiments/sweep/networks.py': 'experiments/sweep/plan_test.py',
  'experiments/sweep/one_search.py': 'experiments/compare_test.py',
  'experiments/sweep/one_search_page.py': 'experiments/compare_test.py',
  'experiments/sweep/page.py': 'experiments/results_test.py',
  'experiments/sweep/ranks.py': 'experiments/results_test.py',
  'experiments/sweep/report.py': 'experiments/sweep/main_test.py',
  'experiments/sweep/search_page.py': 'experiments/sweep/main_test.py',
  'experiments/sweep/setting.py': 'experiments/sweep/pieces_test.py',
  'experiments/sweep/setup.py': 'experiments/sweep/plan_test.py',
  'experiments/sweep/trainings.py': 'experiments/sweep/pieces_test.py',
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
