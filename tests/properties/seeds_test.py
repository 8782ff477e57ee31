"""What tests draw at random can be drawn again: each generator has a seed."""

import ast
import pathlib

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
# Each makes a generator, which needs its seed.
GENERATORS = {'Random', 'default_rng', 'SeedSequence', 'PRNGKey', 'key'}


def unseeded(source):
  """Calls that draw from a generator without a seed, as they are written."""
  for node in ast.walk(ast.parse(source)):
    if not isinstance(node, ast.Call):
      continue
    name = ast.unparse(node.func)
    module, _, function = name.rpartition('.')
    if module in ('random', 'np.random', 'jax.random'):
      draws = function not in GENERATORS and module != 'jax.random'
      if draws or (function in GENERATORS and not node.args):
        yield name


@pytest.mark.parametrize(
  ('source', 'found'),
  [
    ('random.randint(2, 7)', ['random.randint']),
    ('np.random.normal(size=3)', ['np.random.normal']),
    ('rng = np.random.default_rng()', ['np.random.default_rng']),
    ('random.Random().random()', ['random.Random']),
    ('random.Random(3).randint(2, 7)', []),
    ('np.random.default_rng((1, 2)).normal()', []),
    ('jax.random.normal(jax.random.key(0))', []),
  ],
)
def test_a_draw_without_a_seed_is_found(source, found):
  assert [*unseeded(source)] == found


def test_every_draw_of_a_test_has_a_seed():
  """`conftest` alone draws the seed itself, which every run prints."""
  paths = [p for p in TESTS.rglob('*.py') if p != TESTS / 'conftest.py']
  found = {str(p.relative_to(TESTS)): [*unseeded(p.read_text())] for p in paths}
  assert {name: calls for name, calls in found.items() if calls} == {}
