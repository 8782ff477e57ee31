"""What a sweep would do, and about how long it would take."""

from collections import Counter
from typing import Any

import jax

from nasjax import cost
from nasjax.baselines import handmade
from nasjax.run import finalists
from nasjax.space import Space

from . import networks as networks_lib
from . import pieces
from . import plan as plan_lib
from . import trainings as trainings_lib

# Of training, forward and backward, on one core of a server's CPU, measured
# with networks of 1.5 to 2.1 MMACs; small batches and other machines differ.
SECONDS_PER_MAC = 4e-10
SECONDS_TO_COMPILE = 10


def lines(
  prepared: Any,
  seconds_per_search: float | None = None,
  seconds_per_training: float | None = None,
) -> list[str]:
  """The plan, in words.

  Args:
    prepared: result of `setup.prepare`.
    seconds_per_search: measured seconds of one search; None estimates them.
    seconds_per_training: measured seconds of one training; None estimates them.
  """
  levels, sizes, setting, space, *_ = prepared
  members = plan_lib.members(levels, sizes)
  done = [m for m in members if pieces.is_searched(setting.workdir, m)]
  found = pieces.read_searches(setting, done)
  controls = plan_lib.controls(levels, sizes)
  chosen = pieces.read_controls(setting, controls)
  plan = networks_lib.plan(
    space, setting.resource, levels, sizes, found, chosen
  )
  said = [f'searches: {len(members)}, of which {len(done)} are finished']
  said += [f'  {m.name}' for m in members]
  if controls:
    said.append(
      f'controls: {len(controls)}, of which {len(chosen)} are finished'
    )
  said += _networks(plan, members, done, levels, sizes)
  networks = len(plan.networks) + _unknown(space, members, done, levels, sizes)
  networks += len(controls) - len(chosen)
  trainings = sizes.train_seeds * networks
  most = '' if len(done) == len(members) else 'at most '
  results = trainings_lib.results(
    setting, plan_lib.trainings(plan.networks, sizes)
  )
  said.append(
    f'trainings: {most}{trainings} ({most}{networks} networks, '
    f'{sizes.train_seeds} seeds each), of which {len(results)} are finished'
  )
  search = seconds_per_search or _search_seconds(setting, space, levels)
  choice = _finalist_seconds(setting, space, levels)
  training = seconds_per_training or _training_seconds(
    setting, plan, space, levels
  )
  todo = len(members) - len(done), trainings - len(results)
  left = len(controls) - len(chosen)
  total = todo[0] * search + todo[1] * training + left * choice
  also = f', {left} controls of {choice:.0f} s' if controls else ''
  said.append(
    f'time: {todo[0]} searches of {search:.0f} s{also} and {todo[1]} trainings '
    f'of {training:.0f} s, {total / 60:.0f} minutes in one process on '
    f'{jax.devices()[0].device_kind}'
  )
  if seconds_per_search is None or seconds_per_training is None:
    said.append(
      f'  assumed: {SECONDS_PER_MAC:g} s per MAC and image (one CPU core) and '
      f'{SECONDS_TO_COMPILE} s to compile; --seconds_per_search= and '
      '--seconds_per_training= say what was measured'
    )
  return said


def _unknown(space, members, done, levels, sizes) -> int:
  """Networks that searches still have to find, at most."""
  left = [m for m in members if m not in done]
  found = len(left) + sum(m.level.middle for m in left)  # And their argmax.
  for level in levels:
    if level.limit is None and not any(m.level == level for m in done):
      wanted = sizes.middle if level.middle else sizes.outer
      each = len(networks_lib.last_maps(space))
      found += wanted.randoms + each * len(wanted.zoo)
      found += len(handmade.names_for(space))
  return found


def _networks(plan, members, done, levels, sizes) -> list[str]:
  said = ['networks:']
  for level in levels:
    own = [e for e in plan.entries if e.level == level]
    kinds = [f'{n} {kind}' for kind, n in Counter(e.kind for e in own).items()]
    left = [m for m in members if m.level == level and m not in done]
    if left:
      kinds.insert(0, f'at most {len(left)} still to be searched')
    said.append(f'  {level.name}: {", ".join(kinds)}')
    said += [
      f'    {e.name}: {cost.macs(e.network).constant:,} MACs, '
      f'{cost.params(e.network).constant:,} parameters'
      for e in own
    ]
  return [*said, *(f'  {line}' for line in plan.missing)]


def _training_seconds(setting, plan, space: Space, levels) -> float:
  macs = [cost.macs(e.network).constant for e in plan.networks.values()]
  if not macs:
    # Without a limit, assume half of the largest network.
    largest = cost.macs(space).bounds()[1]
    macs = [level.limit or largest / 2 for level in levels]
  images = setting.recipe.epochs * setting.dataset.num_train
  one = SECONDS_PER_MAC * images * sum(macs) / len(macs)
  return one + SECONDS_TO_COMPILE


def _search_seconds(setting, space: Space, levels) -> float:
  """Assumes that each op of a slot takes half of the most expensive one."""
  config = setting.search.search.scheduled(
    space.choices, setting.dataset.num_train // 2
  )
  ops = [len(slot.ops) for slot in space.slots if len(slot.ops) > 1]
  if config.sampling is not None:
    at_once = 0.5
  elif config.supernet == 'entangled' or not ops:
    at_once = 1
  else:
    at_once = sum(ops) / len(ops) / 2
  macs = at_once * cost.macs(space).bounds()[1]
  images = config.images(config.taken.all)
  # Judging takes no gradient, which is two thirds of a training step.
  seconds = SECONDS_PER_MAC * macs * (images.trained + images.judged / 3)
  seconds += _finalist_seconds(setting, space, levels)
  return seconds + 3 * SECONDS_TO_COMPILE


def _finalist_seconds(setting, space: Space, levels) -> float:
  """Seconds to train the finalists of a search; 0 without finalists."""
  number = setting.search.search.finalists
  if number == 1:
    return 0.0
  half = setting.dataset.num_train // 2
  trained = finalists.images_of(setting.search.search, number, half)
  largest = cost.macs(space).bounds()[1]
  limits = [level.limit or largest for level in levels]
  if setting.resource != 'macs':
    limits = [largest]
  each = SECONDS_PER_MAC * trained * sum(limits) / len(limits)
  return each + number * SECONDS_TO_COMPILE
