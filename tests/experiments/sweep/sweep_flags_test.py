"""The flags of a sweep: what its searches are told, and what is refused."""

import pytest

from experiments import search
from experiments.flags import cli, configs
from experiments.sweep import sweep_flags
from experiments.sweep.plan import Level, Member
from experiments.sweep.setting import flags_of
from tests.conftest import refused

LEVEL = Level('1.00M', 1_000_000, None, True)


def _told(**given):
  return configs.of(sweep_flags.Flags, {'limits': 'macs=1M', **given})


def test_every_flag_of_a_search_is_one_of_a_sweep_or_is_chosen_by_it():
  shared = {n for n in search.OPTIONS if n in sweep_flags.OPTIONS}
  prefixed = {n for n in search.OPTIONS if f'search_{n}' in sweep_flags.OPTIONS}
  # The seed of a sweep is that of its first search.
  chosen = {'preset', 'limit', 'stream', 'crop_area', 'seed'}
  chosen |= {'latency_table', 'deploy_dtype'}
  assert (shared | prefixed | chosen) == set(search.OPTIONS)
  # Flags of both names belong to the trainings and to the searches.
  both = (shared & prefixed) - set(configs.RECIPE)
  assert not both


@pytest.mark.parametrize(
  ('given', 'name', 'value'),
  [
    ({'search_steps': 90}, 'steps', 90),
    ({'epochs': 3, 'search_batch_size': 8}, 'batch_size', 8),
    ({'batch_size': 8}, 'batch_size', 32),
    ({'constraint': 'hinge', 'strength': '2k'}, 'strength', 2000.0),
    ({'search_entropy': '80:0,240:0.1'}, 'entropy', ((80, 0.0), (240, 0.1))),
    ({'seed': 5}, 'seed', 7),
  ],
)
def test_a_search_is_told_what_the_sweep_was_told_for_it(given, name, value):
  shared = sweep_flags.searches_of(_told(**given))
  told = flags_of(shared, 'macs', Member(LEVEL, 7))
  assert getattr(told.search, name) == value
  assert told.limit == ('macs=1000000',)


def test_a_search_of_a_sweep_keeps_texts_as_they_were_typed():
  # So a member that was searched before is the same search again.
  given = {'constraint': 'hinge', 'strength': '2k', 'search_entropy': '240:0.1'}
  shared = sweep_flags.searches_of(_told(**given))
  values = flags_of(shared, 'macs', Member(LEVEL, 7)).values
  assert list(values) == list(search.OPTIONS)
  own = {'space': 'mobile_macro_small', 'constraint': 'hinge', 'seed': 7}
  own |= {'strength': '2k', 'entropy': '240:0.1', 'limit': ['macs=1000000']}
  assert values == cli.defaults(search.OPTIONS) | own


@pytest.mark.parametrize(
  ('given', 'message'),
  [
    ({'outer_seeds': 0}, 'outer_seeds is 0; it must be at least 1'),
    ({'random': -1}, 'random is -1; it must be at least 0'),
    ({'seed': 2**32 - 4}, 'seed is 4294967292; it must be 0 to 4294967291'),
    ({'outer_zoo': 'alexnet'}, "unknown network 'alexnet'"),
    ({'train_seeds': 1.5}, 'train_seeds is 1.5; it must be a whole number'),
    ({'fill': 1.5}, 'fill is 1.5; it must be 0 to 1'),
    ({'epochs': 0}, 'epochs is 0; it must be at least 1'),
  ],
)
def test_a_value_out_of_its_range_is_refused_by_name(given, message):
  refused(message, _told, **given)


def test_a_bad_value_of_searches_is_refused_by_the_name_of_its_flag():
  told = _told(search_steps=0)
  refused('^search_steps is 0', sweep_flags.searches_of, told)
