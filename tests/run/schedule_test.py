"""How many steps a search takes, and the images that it computes."""

import dataclasses
import json
import math
from concurrent.futures import Future

import numpy as np
import pytest

from experiments import search
from experiments.flags import cli, configs
from nasjax import data, spaces
from nasjax.run import guards, schedule, search_loop
from nasjax.run.config import SearchConfig
from nasjax.search.contributions import Sampling
from nasjax.space import Choice
from tests.conftest import images, refused
from tests.run.run_cases import Alphas

TINY = spaces.tiny().choices
CHOICES = {
  'tiny': TINY,
  'mobile_small': spaces.mobile_small().choices,
  'one option': {'slot': Choice(('conv',))},
  'edges': {'edge': Choice(('a', 'b', 'c'), (4,)), 'act': Choice(('d', 'e'))},
  'none': {},
}
SEVEN = Sampling(per_step=3, memory=7)


@pytest.mark.parametrize('choices', CHOICES.values(), ids=CHOICES)
@pytest.mark.parametrize('batch_size', [1, 8, 32, 1000])
@pytest.mark.parametrize('sampling', [Sampling(), SEVEN])
def test_the_rule_trains_every_option_enough_and_not_longer(
  choices, batch_size, sampling
):
  images = 250
  taken = schedule.steps(choices, images, batch_size, sampling)
  options = max((len(choice) for choice in choices.values()), default=1)
  # Each step trains one option of a choice: of n, each in an n-th of them.
  wanted = schedule.EPOCHS * images
  seen = lambda warmup: warmup * batch_size / options  # noqa: E731
  assert seen(taken.warmup) >= wanted > seen(taken.warmup - 1)
  learning = taken.all - taken.warmup
  judged = learning * sampling.per_step
  assert judged >= sampling.memory > judged - sampling.per_step


def test_the_rule_gives_these_numbers():
  # 3 options, 12 * 3 * 1000 / 32; and 800 / 8, 7 / 3.
  assert schedule.steps(TINY, 1000, 32, Sampling()) == (1125, 1225)
  assert schedule.steps(TINY, 1000, 32, SEVEN) == (1125, 1128)
  assert schedule.steps(TINY, 1000, 32, None) == (80, 240)


@pytest.mark.parametrize('sampling', [None, Sampling(), SEVEN])
def test_steps_that_are_given_stay(sampling):
  def steps(given, warmup):
    return schedule.steps(TINY, 1000, 32, sampling, given, warmup)

  for given in range(2, 500):
    alone = steps(given, None)
    assert alone.all == given
    # Both learn, the weights for two thirds or, of a mixture, one.
    learning = given - alone.warmup
    assert 0 < learning < given or sampling is None
    if sampling is None:
      assert alone.warmup == given // 3
    else:
      full = math.ceil(sampling.memory / sampling.per_step)
      assert learning == min(full, max(1, given // 3))
  for warmup in range(1, 500):
    alone = steps(None, warmup)
    assert alone.warmup == warmup
    if sampling is None:
      assert alone.all == 3 * warmup
    else:
      assert alone.all == warmup + math.ceil(
        sampling.memory / sampling.per_step
      )
    assert steps(warmup + 5, warmup) == (warmup, warmup + 5)


class _Feed:
  """Batches that are counted by the images in them."""

  def __init__(self, size):
    self.size = size

  def next(self):
    return self.size

  peek = next


def _done(function):
  future = Future()
  future.set_result(function)
  return future


@pytest.mark.parametrize('frozen', [False, True])
@pytest.mark.parametrize('sampling', [None, SEVEN])
@pytest.mark.parametrize('last', [2, 5, 6, 11])
def test_images_are_those_that_the_steps_of_a_search_take(
  frozen, sampling, last
):
  """Counted in the loop that takes the steps; some end before the alphas."""
  warmup, batch_size, trained, judged = 5, 4, 0, 0

  def weight_step(state, batch):
    nonlocal trained
    trained += batch
    return state._replace(step=state.step + 1), {}

  def alpha_step(state, ahead, batch):
    nonlocal trained, judged
    if sampling is None:
      trained += batch
    else:
      judged += sampling.per_step * sampling.images
    return state, {}

  programs = search_loop.Programs(_done(weight_step), _done(alpha_step), None)
  guarded = guards.of(SearchConfig(), spaces.tiny())
  advance = search_loop.stepper(
    warmup,
    guarded,
    programs,
    {},
    _Feed(batch_size),
    _Feed(batch_size),
    frozen=frozen,
  )
  run = search_loop.Run(Alphas(0, {}), guarded.rule.init({}))
  for step in range(1, last + 1):
    run, _ = advance(run, step)
  assert run.step == last
  found = schedule.images(
    schedule.Steps(warmup, last), batch_size, sampling, frozen=frozen
  )
  assert found == (trained, judged)


def test_a_configuration_takes_its_images_by_its_own_fields():
  config = SearchConfig(
    networks=40, networks_per_step=4, network_images=10, batch_size=5
  ).scheduled(TINY, 100)
  # 3 options: 12 * 3 * 100 / 5, and 40 / 4.
  assert config.taken == (720, 730)
  assert config.images(730) == (720 * 5, 10 * 4 * 10)
  assert config.images(722) == (720 * 5, 2 * 4 * 10)
  assert config.images(100) == (500, 0)
  moving = dataclasses.replace(config, weight_rate=0.1)
  assert moving.images(730) == (730 * 5, 10 * 4 * 10)
  mixture = SearchConfig(relax='softmax', batch_size=5)
  assert mixture.images(mixture.taken.all) == ((240 + 160) * 5, 0)
  assert mixture.images(90) == ((90 + 10) * 5, 0)


GIVEN = [
  {},
  {'steps': 90},
  {'warmup_steps': 7},
  {'steps': 90, 'warmup_steps': 7},
  {'weight_rate': 0.1},
  {'networks': 100, 'networks_per_step': 30},
]
GIVEN += [{'relax': 'gdas', **given} for given in GIVEN[:5]]


@pytest.mark.parametrize('given', GIVEN, ids=str)
def test_a_scheduled_configuration_says_all_and_stays(given):
  config = SearchConfig(**given)
  once = config.scheduled(TINY, 1000)
  assert once.taken == (once.warmup_steps, once.steps)
  # Other images change nothing any more.
  assert once.scheduled(CHOICES['edges'], 77) == once
  told = {f.name: getattr(once, f.name) for f in dataclasses.fields(once)}
  for name, value in given.items():
    assert told[name] == value
  free = {'steps', 'warmup_steps', 'weight_rate', 'networks'} - set(given)
  same = {name: getattr(config, name) for name in free}
  assert dataclasses.replace(once, **same) == config
  rate = None if config.sampling is None else 0.0
  assert once.weight_rate == given.get('weight_rate', rate)
  if given.keys() & {'steps', 'warmup_steps'} or 'relax' in given:
    assert config.taken == once.taken  # Neither space nor images decide.
  else:
    with pytest.raises(ValueError, match='scheduled'):
      _ = config.taken


def test_more_images_or_smaller_batches_take_more_warm_up():
  def warmup(images, **given):
    return SearchConfig(**given).scheduled(TINY, images).taken.warmup

  assert warmup(1000) < warmup(1008)
  assert warmup(1008, batch_size=16) == 2 * warmup(1008)
  assert warmup(10_000) == 10 * warmup(1000)


OLD = {'fill': 0.98, 'relax': 'softmax', 'steps': 240, 'warmup_steps': 80}


def test_a_configuration_of_before_is_what_it_was():
  """As a `config.json` has it: nothing is left to the rule."""
  config = SearchConfig(**json.loads(json.dumps(OLD)))
  assert config.scheduled(TINY, 10**6) == config
  assert (config.taken, config.weight_rate) == ((80, 240), None)
  assert (config.sampling, config.entropy_points) == (None, None)
  told = json.loads(json.dumps(config.described()))
  assert {name: told[name] for name in OLD} == OLD
  heats = [float(config.heat(step)) for step in (0, 80, 160, 240)]
  assert heats == pytest.approx([1.0, 1.0, math.sqrt(0.2), 0.2])


def test_old_flags_run_as_before_and_new_ones_by_the_rule():
  dataset = data.from_arrays(images(60), np.arange(60) % 3)
  base = cli.defaults(search.OPTIONS)
  base |= {'space': 'tiny', 'limit': ['macs=8k'], 'batch_size': 8}
  old = configs.of(search.Flags, base | OLD)
  assert search.prepare(old, dataset).config == old.search
  new = configs.of(search.Flags, base)
  # 24 images are those of the weights: 12 * 3 * 24 / 8.
  assert search.prepare(new, dataset).config.taken == (108, 208)
  # A record keeps what was typed, so that the same command resumes it.
  assert (new.values['steps'], new.values['warmup_steps']) == (None, None)


def test_a_rule_that_takes_too_many_steps_is_refused():
  config = SearchConfig(batch_size=1)
  refused(
    'steps is .*; it must be at most 2147483647', config.scheduled, TINY, 10**9
  )


@pytest.mark.parametrize(
  ('make', 'number'),
  [(spaces.tiny, 800), (spaces.mobile_small, 800), (spaces.proxylessnas, None)],
)
def test_a_large_space_has_more_networks_judged(make, number):
  choices = make().choices
  free = sum(len(c) - 1 for c in choices.values())
  wanted = number or 10 * free
  config = SearchConfig().scheduled(choices, 1000)
  assert config.networks == wanted >= 10 * free
  # As many alpha steps as judge them once.
  alpha_steps = config.taken.all - config.taken.warmup
  assert alpha_steps == math.ceil(wanted / 8)
  assert SearchConfig(networks=900).scheduled(choices, 1000).networks == 900
  assert SearchConfig(relax='softmax').scheduled(choices, 9).networks is None
