"""Fields of a configuration: documented, typed, parsed."""

import dataclasses

import numpy as np
import pytest

from experiments import compare, count, export, predict, search, train
from experiments.flags import hosts, programs, sources, training
from experiments.sweep import __main__ as sweep
from experiments.sweep import sweep_flags
from nasjax import options
from nasjax.run.config import SearchConfig
from nasjax.train.recipe import Recipe
from tests.conftest import refused

# Configurations of the library, and those that flags of scripts are made from.
CONFIGS = [Recipe, SearchConfig, sources.Source, sources.Streamable]
CONFIGS += [training.Named, training.Images, training.Teacher, hosts.Hosts]
CONFIGS += [programs.Programs, train.Flags, search.Flags, count.Flags]
CONFIGS += [export.Flags, predict.Flags]
CONFIGS += [train.Action, compare.Flags, compare.Work, sweep.Work]
CONFIGS += [sweep_flags.Flags]


@pytest.mark.parametrize('config', CONFIGS)
def test_every_field_is_documented_with_its_default(config):
  for field in dataclasses.fields(config):
    if 'text' not in field.metadata:
      assert f'    {field.name}: ' in config.__doc__
      continue
    text = field.metadata['text']
    assert len(text) > 8
    assert f'{field.name}: {text} (default: {field.default!r}).' in (
      config.__doc__
    )


@pytest.mark.parametrize('config', CONFIGS[:-1])  # A sweep needs limits.
def test_options_of_defaults_are_the_default_configuration(config):
  unset = options.defaults(options.of(config))
  assert options.made(config, unset) == options.made(config, {}) == config()


WRONG = [
  (Recipe, {'epochs': 1.5}),
  (Recipe, {'epochs': True}),
  (Recipe, {'learning_rate': '0.1'}),
  (Recipe, {'remat': 1}),
  (Recipe, {'optimizer': None}),
  (SearchConfig, {'batch_size': None}),
  (SearchConfig, {'steps': 2.0}),
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


@dataclasses.dataclass(frozen=True)
class Told:
  """A recipe of other defaults, and what was given."""

  names: tuple[str, ...] = options.option((), 'names of what is trained')
  recipe: Recipe = options.group(Recipe(epochs=14, momentum=0.5))
  search: SearchConfig = options.group(SearchConfig(seed=3))
  values: dict = options.as_given()


def test_options_of_a_group_have_the_defaults_of_the_group():
  found = options.of(Told)
  assert (found['epochs'][0], found['momentum'][0]) == (14, 0.5)
  assert found['names'][0] == []  # A flag that may be repeated.
  assert found['dropout'][0] is float  # No default: its type.
  made = options.made(Told, {'dropout': 0.3})
  assert made.recipe == Recipe(epochs=14, momentum=0.5, dropout=0.3)
  assert made.search == SearchConfig(seed=3)


def test_a_configuration_keeps_what_was_given_before_it_was_parsed():
  given = {'entropy': '80:0,240:0.1', 'names': ['a', 'b'], 'unknown': 3}
  made = options.made(Told, given)
  assert made.search.entropy == ((80, 0.0), (240, 0.1))
  assert made.names == ('a', 'b')
  assert made.values['entropy'] == '80:0,240:0.1'
  assert list(made.values) == list(options.of(Told))


def test_a_bad_value_of_a_group_is_refused_by_the_name_of_its_field():
  refused('epochs is 0; it must be', options.made, Told, {'epochs': 0})
  refused("strength is 'x'|'x'", options.made, Told, {'strength': 'x'})
