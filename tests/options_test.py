"""Fields of a configuration: documented, typed, parsed."""

import dataclasses

import numpy as np
import pytest

from nasjax import options
from nasjax.run.config import SearchConfig
from nasjax.train.recipe import Recipe
from tests.conftest import refused


@pytest.mark.parametrize('config', [Recipe, SearchConfig])
def test_every_field_is_documented_with_its_default(config):
  for field in dataclasses.fields(config):
    text = field.metadata['text']
    assert len(text) > 8
    assert f'{field.name}: {text} (default: {field.default!r}).' in (
      config.__doc__
    )


@pytest.mark.parametrize('config', [Recipe, SearchConfig])
def test_options_of_defaults_are_the_default_configuration(config):
  unset = {
    name: None if isinstance(default, type) else default
    for name, (default, _) in options.of(config).items()
  }
  assert config(**options.parsed(config, unset)) == config()


WRONG = [
  (Recipe, {'epochs': 1.5}),
  (Recipe, {'epochs': True}),
  (Recipe, {'learning_rate': '0.1'}),
  (Recipe, {'remat': 1}),
  (Recipe, {'optimizer': None}),
  (SearchConfig, {'steps': None}),
  (SearchConfig, {'strength': 'much'}),
  (SearchConfig, {'eigenvalue_every': 10.0}),
  (SearchConfig, {'relax': 5}),
  (SearchConfig, {'constraint': 5}),
]


@pytest.mark.parametrize(('config', 'given'), WRONG, ids=str)
def test_a_field_of_another_type_is_refused_by_name(config, given):
  ((name, value),) = given.items()
  refused(f'{name} is {value!r}; it must be', config, **given)


def test_numbers_of_numpy_are_numbers():
  recipe = Recipe(epochs=np.int64(3), learning_rate=np.float32(0.5))
  assert (recipe.epochs, recipe.learning_rate) == (3, 0.5)


def test_texts_are_parsed_where_an_option_says_how():
  given = {'entropy': '80:0,240:0.1', 'strength': '2k', 'unknown': 3}
  given |= {'constraint': 'hinge'}
  found = options.parsed(SearchConfig, given)
  assert found == {
    'entropy': ((80, 0.0), (240, 0.1)),
    'strength': 2000.0,
    'constraint': 'hinge',
  }
  assert (
    SearchConfig(entropy='80:0,240:0.1').entropy_points == (found['entropy'])
  )
