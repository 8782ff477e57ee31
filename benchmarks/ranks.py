"""How well what is cheap tells which of several networks trains best.

  python -m benchmarks.ranks --workdir=runs/ranks --dataset=fashion_mnist \\
    --train_images=10000 --limits=macs=1.5M --data_dir=data

draws random architectures of one budget, adds those made by hand, and trains
all of them as a sweep does. How they then label the images held out is what is
to be told by

- their part of a supernet's weights, after several ways to train it,
- trainings of few epochs, and of as many,

all of them on the images of the weights, judged on those of the alphas, as in a
search. A second table has the random ones by where they downsample. Test images
are looked at by nothing here.

What is finished is kept in the workdir: killed and typed again, it goes on, and
`--part=1/2` and `--part=2/2` share the work between two processes, after which
the command without prints the tables.
"""

import dataclasses
import math
import pathlib
import statistics
from collections.abc import Mapping
from typing import NamedTuple

from absl import flags

from benchmarks import sandwich
from experiments import search
from experiments.flags import cli, configs, programs
from experiments.sweep import networks as networks_lib
from experiments.sweep import pieces, setup, sweep_flags, trainings
from experiments.sweep import plan as plan_lib
from experiments.sweep.networks import RANDOM, Entry, Plan
from experiments.sweep.plan import Member, Part
from experiments.sweep.setting import flags_of
from experiments.sweep.setup import Prepared
from nasjax.errors import InputError
from nasjax.report import intervals
from nasjax.run import datasets, supernets, training
from nasjax.run import record as record_lib
from nasjax.run.workdir import claims, weights

OPTIONS = {
  name: sweep_flags.OPTIONS[name]
  for name in ('dataset', 'data_dir', 'train_images', 'limits', 'space', 'seed')
} | {
  'random': (20, 'random architectures'),
  'train_seeds': (1, 'whole trainings of each network'),
  'valid_fraction': (0.5, sweep_flags.OPTIONS['valid_fraction'][1]),
}
SETTLED = {'zoo': '', 'search_supernet': 'entangled'}
# All but the last train weights alone: the alphas have one step, as a search is
# to have some.
SUPERNETS = {
  'mixture_250': (
    'a supernet, 250 steps of the mixture',
    {'relax': 'softmax', 'steps': 250, 'warmup_steps': 249},
  ),
  'mixture_1000': (
    'a supernet, 1,000 steps of the mixture',
    {'relax': 'softmax', 'steps': 1000, 'warmup_steps': 999},
  ),
  'strict_1000': (
    'a supernet, 1,000 steps of one network each',
    {
      'relax': 'softmax',
      'steps': 1000,
      'warmup_steps': 999,
      'fairness': 'strict',
    },
  ),
  'strict_2000': (
    'a supernet, 2,000 steps of one network each',
    {
      'relax': 'softmax',
      'steps': 2000,
      'warmup_steps': 1999,
      'fairness': 'strict',
    },
  ),
  'search_600': (
    'a supernet after a search of 600 steps',
    {'relax': 'softmax', 'steps': 600, 'warmup_steps': 200},
  ),
}
SANDWICH = 600, 4  # Steps, and networks in each of them.
EPOCHS = 1, 3, 14


def plan_of(prepared: Prepared) -> Plan:
  """What is ranked: random architectures, and those made by hand."""
  level, *others = prepared.levels
  if others:
    raise InputError(
      f'limits has {len(prepared.levels)} limits; networks of one budget are '
      'ranked: give one, as macs=1.5M'
    )
  found, missing = networks_lib.alternatives(
    prepared.space,
    prepared.setting.resource,
    level,
    level.limit,
    prepared.sizes,
  )
  own = tuple(dataclasses.replace(e, folder=e.name) for e in found)
  return Plan(own, tuple(missing))


class Scores(NamedTuple):
  """What networks have by one way to tell.

  Attributes:
    by: the way, in words.
    images: that it took for each of them.
    found: accuracies by network; of those that are measured yet.
  """

  by: str
  images: int
  found: dict[str, float]


def whole(prepared: Prepared, plan: Plan, part: Part) -> Scores:
  """The mean accuracy of a network's trainings on images held out."""
  setting = prepared.setting
  wanted = plan_lib.trainings(plan.networks, prepared.sizes)
  trainings.run(setting, plan, part(wanted), workers=1)
  groups: dict[str, list[float]] = {}
  for one, result in trainings.results(setting, wanted).items():
    groups.setdefault(one.folder, []).append(result['valid_accuracy'])
  means = {name: statistics.mean(group) for name, group in groups.items()}
  return Scores('whole trainings', 0, means)


def shortly(prepared: Prepared, plan: Plan, part: Part) -> list[Scores]:
  """Accuracies on images of the alphas, as those of finalists are."""
  setting = prepared.setting
  member = Member(prepared.levels[0], prepared.sizes.seed)
  told = flags_of(setting.search, setting.resource, member)
  inputs = search.prepare(told, setting.dataset)
  halves = dataclasses.replace(
    setting.dataset, train=inputs.train, test=inputs.valid
  )

  def folder(epochs: int, entry: Entry) -> pathlib.Path:
    return setting.workdir / 'short' / f'{entry.name}_epochs{epochs}'

  for epochs, entry in part([(n, e) for n in EPOCHS for e in plan.entries]):
    recipe = dataclasses.replace(setting.recipe, epochs=epochs)
    own = folder(epochs, entry)
    own.mkdir(parents=True, exist_ok=True)
    training.run(
      own,
      entry.network,
      halves,
      datasets.batches_for(recipe, halves),
      recipe,
      seed=member.seed,
      record={'name': entry.name},
      among=prepared.space,
    )
  scores = []
  for epochs in EPOCHS:
    paths = {e.name: folder(epochs, e) / 'result.json' for e in plan.entries}
    found = _read(paths, 'test_accuracy')
    by = f'a training of {epochs} epoch{"s" if epochs > 1 else ""}'
    scores.append(Scores(by, epochs * halves.num_train, found))
  return scores


def by_supernets(prepared: Prepared, plan: Plan, part: Part) -> list[Scores]:
  """Accuracies on images of the alphas with a part of a supernet's weights."""
  member = Member(prepared.levels[0], prepared.sizes.seed)
  scores = []
  for name, (by, given) in SUPERNETS.items():
    setting = prepared.setting._replace(
      workdir=prepared.setting.workdir / 'supernets' / name,
      search=configs.of(
        search.Flags, {**prepared.setting.search.values, **given}
      ),
    )
    if name in part(list(SUPERNETS)):
      pieces.run_searches(setting, [member])
      pieces.run_inherited(setting, member, plan, list(plan.networks))
    paths = {
      e.name: pieces.inherited_path(setting.workdir, e.name)
      for e in plan.entries
    }
    # A step of the alphas looks at as many images as one of the weights.
    steps = given['steps'] + given['steps'] - given['warmup_steps']
    images = steps * setting.search.search.batch_size
    each = round(images / len(plan.entries))
    scores.append(Scores(by, each, _read(paths, 'valid_accuracy')))
  return scores


def by_sandwich(prepared: Prepared, plan: Plan, part: Part) -> Scores:
  """As `by_supernets`, of weights that no search trained."""
  member = Member(prepared.levels[0], prepared.sizes.seed)
  workdir = prepared.setting.workdir / 'supernets' / 'sandwich'
  setting = prepared.setting._replace(workdir=workdir)
  steps, networks = SANDWICH
  folder = workdir / 'searches' / member.name
  # A piece of the last part alone.
  if part.index == part.of:
    if not (folder / 'weights' / supernets.WHOLE).exists():
      told = flags_of(setting.search, setting.resource, member)
      inputs = search.prepare(told, setting.dataset)
      recipe = inputs.config.recipe
      params = sandwich.train(
        inputs.space,
        member.level.limit,
        inputs.train,
        inputs.batches,
        recipe.tx(steps),
        numerics=recipe.numerics,
        steps=steps,
        networks=networks,
        seed=member.seed,
      )
      weights.store(folder, supernets.WHOLE, {'params': params})
    pieces.run_inherited(setting, member, plan, list(plan.networks))
  paths = {e.name: pieces.inherited_path(workdir, e.name) for e in plan.entries}
  images = steps * networks * setting.search.search.batch_size
  return Scores(
    f'a supernet, {steps} sandwiches of {networks} networks',
    round(images / len(plan.entries)),
    _read(paths, 'valid_accuracy'),
  )


def _read(paths: Mapping[str, pathlib.Path], key: str) -> dict[str, float]:
  return {
    name: record_lib.read_json(path)[key]
    for name, path in paths.items()
    if path.exists()
  }


def table(truth: Mapping[str, float], scores: list[Scores]) -> str:
  """How each way ranks, and what its first is worth.

  Example:
    >>> known = {'a': 0.1, 'b': 0.2, 'c': 0.4, 'd': 0.5}
    >>> ranked = {'a': 0.6, 'b': 0.9, 'c': 0.7, 'd': 0.8}
    >>> print(table(known, [Scores('tea leaves', 2, ranked)]).splitlines()[-1])
    | tea leaves | 2 | +0.40 (-0.92 to +0.99) | -10.00 |
  """
  mean = statistics.mean(truth.values())
  lines = [
    '| ranked by | images each | rank correlation | its first (points) |',
    '|---|---:|---:|---:|',
  ]
  for one in scores:
    pairs = [(one.found[name], truth[name]) for name in truth]
    c = intervals.spearman(*zip(*pairs, strict=True))
    ends = '' if math.isnan(c.low) else f' ({c.low:+.2f} to {c.high:+.2f})'
    first = max(pairs, key=lambda pair: pair[0])[1]
    lines.append(
      f'| {one.by} | {one.images:,} | {c.rho:+.2f}{ends} '
      f'| {100 * (first - mean):+.2f} |'
    )
  return '\n'.join(lines)


def by_pattern(truth: Mapping[str, float], plan: Plan) -> str:
  """Accuracies of the random ones by where they downsample."""
  groups: dict[str, list[float]] = {}
  for entry in plan.entries:
    if entry.kind == RANDOM:
      a = entry.architecture
      pattern = dict(zip(a.space.choices, a.choice, strict=True))['pattern']
      groups.setdefault(pattern, []).append(truth[entry.name])
  lines = [
    '| downsamples | random ones | accuracy | from | to |',
    '|---|---:|---:|---:|---:|',
  ]
  for pattern, group in sorted(groups.items()):
    lines.append(
      f'| {pattern} | {len(group)} | {statistics.mean(group):.2%} '
      f'| {min(group):.2%} | {max(group):.2%} |'
    )
  return '\n'.join(lines)


def main() -> None:
  programs.keep()
  config = {**cli.defaults(sweep_flags.OPTIONS), **SETTLED}
  config |= cli.values(OPTIONS)
  told = configs.of(sweep_flags.Flags, config)
  prepared = setup.prepare(told, flags.FLAGS.workdir, '')
  plan, part = plan_of(prepared), plan_lib.part(flags.FLAGS.part)
  claims.claim(prepared.setting.workdir, {**config, **prepared.content})
  truth = whole(prepared, plan, part)
  scores = [
    *by_supernets(prepared, plan, part),
    by_sandwich(prepared, plan, part),
    *shortly(prepared, plan, part),
  ]
  if part.of > 1:
    return
  own = list(truth.found.values())
  mean, spread = statistics.mean(own), statistics.stdev(own)
  print(
    f'{len(own)} networks: {mean:.2%} on average, standard deviation '
    f'{100 * spread:.2f} points, the best {100 * (max(own) - mean):+.2f} points'
  )
  print(*plan.missing, sep='\n')
  print(table(truth.found, scores), by_pattern(truth.found, plan), sep='\n\n')


if __name__ == '__main__':
  cli.define_workdir()
  cli.define(programs.OPTIONS)
  cli.define(OPTIONS)
  flags.DEFINE_string('part', None, 'run shard 1 of 2, as 1/2')
  cli.run(main, required=('workdir',))
