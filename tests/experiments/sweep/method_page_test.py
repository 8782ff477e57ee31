"""How a sweep was done, as its page says it."""

import pytest

from experiments.sweep import method_page
from nasjax.report.document import Code, Items
from tests.experiments.sweep.sweep_cases import config, known
from tests.experiments.told_cases import sweep_prepare

RESULTS = [{'device': 'cpu'}, {'device': 'gpu'}, {'device': 'cpu'}]


def _blocks(tmp_path, missing=(), **given):
  with known():
    prepared = sweep_prepare(config(**given), tmp_path / 'run')
  return method_page.blocks(prepared, missing, RESULTS)


@pytest.mark.parametrize('seed', [0, 7])
def test_seeds_recipe_and_flags_are_those_of_the_sweep(tmp_path, seed):
  blocks = _blocks(tmp_path, seed=seed, epochs=3)
  (items,) = (block for block in blocks if isinstance(block, Items))
  # Two searches in the middle, one beside it.
  assert f'the seeds {seed} to {seed + 1} at the middle level' in items.items[0]
  recipe, searches = (b.text for b in blocks if isinstance(b, Code))
  assert 'epochs=3' in recipe.split(', ')
  assert {'space=speck', 'steps=8'} <= set(searches.split(', '))
  assert 'None' not in searches


def test_what_is_missing_is_said_and_devices_once(tmp_path):
  blocks = _blocks(tmp_path, ['no network of resnet18'])
  (items,) = (block for block in blocks if isinstance(block, Items))
  assert items.items[-1] == 'Not there: no network of resnet18.'
  assert any('Trained on cpu, gpu, with' in str(block) for block in blocks)
