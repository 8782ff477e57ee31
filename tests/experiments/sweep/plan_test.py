"""What a sweep consists of, and what its flags name."""

import itertools

import jax
import numpy as np
import pytest

from experiments import search
from experiments.sweep import networks as networks_lib
from experiments.sweep import plan as plan_lib
from experiments.sweep import setup
from experiments.sweep.setting import flags_of
from nasjax import cost, space, spaces
from nasjax.run import inputs as inputs_lib
from nasjax.run import (
  search_loop,
)
from tests.conftest import refused
from tests.experiments.sweep.sweep_cases import SPACE, config, few, known
from tests.experiments.told_cases import (
  sweep_prepare,
  sweep_run,
)


@pytest.fixture(scope='module', autouse=True)
def of_flags():
  with known():
    yield


def test_strengths_are_no_part_of_what_is_compiled(tmp_path):
  own = config(limits=None, strengths='0.1,2', constraint='linear')
  prepared = sweep_prepare(own, tmp_path / 'run', '')
  setting, key = prepared.setting, jax.random.key(0)
  members = plan_lib.members(prepared.levels, prepared.sizes)
  programs, starts = [], []
  for member in (members[0], members[-1]):
    told = flags_of(setting.search, setting.resource, member)
    inputs = search.prepare(told, setting.dataset)
    parts = inputs_lib.build(inputs)
    halves = [feed.like for feed in search_loop.fed(inputs)]
    state = jax.eval_shape(parts.init, key, *halves)
    step = jax.jit(parts.alpha_step).lower(state, *halves)
    programs.append(step.as_text())
    starts.append([c.init() for _, c in inputs.kept.constraints])
  assert programs[0] == programs[1]
  assert jax.tree.leaves(starts[0]) != jax.tree.leaves(starts[1])


def test_published_networks_have_two_last_maps_where_images_are_small():
  for size, expected in ((32, {'_2px': 2, '_4px': 4}), (64, {'': 2})):
    own = spaces.mobile_small(image_size=size)
    assert networks_lib.last_maps(own) == expected


@pytest.mark.slow
def test_strengths_are_compared_at_what_their_networks_cost():
  own = config(limits=None, strengths='0.1,2', constraint='linear')
  prepared = sweep_prepare(own, 'nowhere', '')
  members = plan_lib.members(prepared.levels, prepared.sizes)
  rng = np.random.default_rng(0)
  found = []
  for member in members:
    alphas = {k: rng.normal(size=len(v)) for k, v in SPACE.choices.items()}
    a = space.argmax(SPACE, alphas)
    found.append(networks_lib.Found(member, a, alphas))
  plan = networks_lib.plan(
    SPACE, 'macs', prepared.levels, prepared.sizes, found
  )
  macs = cost.macs(SPACE)
  for level in prepared.levels:
    each = [
      macs.exact(f.architecture) for f in found if f.member.level == level
    ]
    own = [e for e in plan.entries if e.level == level]
    assert {e.budget for e in own} == {max(each)}
    assert all(cost.macs(e.network).constant <= max(each) for e in own)
  # Of them the derived networks are the argmax.
  assert not [e for e in plan.entries if e.kind == networks_lib.ARGMAX]
  nothing = networks_lib.plan(
    SPACE, 'macs', prepared.levels, prepared.sizes, []
  )
  assert nothing.entries == ()


def test_equal_networks_are_trained_once():
  prepared = sweep_prepare(config(), 'nowhere', '')
  members = plan_lib.members(prepared.levels, prepared.sizes)
  a = space.Architecture.from_indices(SPACE, [0] * len(SPACE.choices))
  alphas = {k: np.zeros(len(v)) for k, v in SPACE.choices.items()}
  found = [networks_lib.Found(m, a, alphas) for m in members]
  plan = networks_lib.plan(
    SPACE, 'macs', prepared.levels, prepared.sizes, found
  )
  searched = [e for e in plan.entries if e.kind == networks_lib.SEARCHED]
  assert len(searched) == 3
  assert len({e.folder for e in searched}) == 1
  networks = [e.network for e in plan.networks.values()]
  assert len(set(networks)) == len(networks)
  every = plan_lib.trainings(plan.networks, prepared.sizes)
  assert len(every) == 2 * len(networks)
  shared = [plan_lib.Part(i, 3)(every) for i in (1, 2, 3)]
  assert sorted(itertools.chain(*shared)) == sorted(every)


@pytest.mark.parametrize(
  ('given', 'message'),
  [
    ({'limits': None}, 'either --limits=macs=1M,2M,3M or --strengths'),
    ({'strengths': '1,2'}, 'either --limits=macs=1M,2M,3M or --strengths'),
    ({'limits': '1M,2M'}, "'1M,2M' names no resource"),
    ({'limits': 'memory=1M'}, 'names no resource'),
    ({'limits': 'macs=1M,x'}, "limits: 'x' is no number"),
    ({'limits': 'macs=0,1M'}, 'must all be positive'),
    ({'limits': 'macs=1.0001M,1M'}, 'two that read'),
    (
      {'limits': 'macs=10,1M'},
      'no architecture has macs <= 10; this space reaches 1184',
    ),
    ({'limits': None, 'strengths': '1'}, 'give constraint=linear'),
    ({'zoo': 'mobilenet_v9'}, "unknown network 'mobilenet_v9'"),
    ({'valid_fraction': 0.0}, 'valid_fraction is 0'),
    ({'train_images': 121}, 'train_images is 121; few has 120'),
    ({'search_seeds': 0}, 'search_seeds is 0'),
    ({'control_seeds': -1}, 'control_seeds is -1'),
    ({'control_seeds': 2}, 'control_seeds is 2; without .*search_finalists'),
    ({'epochs': 0}, 'epochs is 0'),
    ({'search_steps': 0}, 'steps'),
    ({'batch_size': 111}, 'batch_size'),
  ],
)
def test_bad_flags_are_one_line_and_write_nothing(tmp_path, given, message):
  refused(message, sweep_run, config(**given), tmp_path / 'run')
  assert not any(tmp_path.iterdir())


@pytest.mark.parametrize('text', ['0/2', '3/2', '2', 'a/b', '1/0', '-1/2'])
def test_a_part_is_one_of_them(text):
  refused('write it as 2/8', plan_lib.part, text)


def test_a_subset_has_the_same_share_of_each_class():
  part = setup.subset(few(), 60)
  assert np.bincount(part.train.labels).tolist() == [6] * 10
  assert part.num_test == few().num_test
  assert setup.subset(few(), None).num_train == 120
