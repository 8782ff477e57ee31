"""What each relaxation finds at one limit, and how long it takes.

  python -m benchmarks.relaxations --workdir=runs/relaxations

searches the embedded data set by every relaxation, with what else the script
has as its defaults, at the middle of the space's range of MACs and by three
seeds; trains what was derived, all alike, and prints a table. Nothing is tuned.
Means have the 95 % interval over the searches.

What is finished is kept in the workdir: killed and typed again, it goes on, and
two processes may share the relaxations by `--relaxations`, as each has files of
its own.
"""

import dataclasses
import pathlib
import statistics
import time
from collections.abc import Callable
from typing import Any

from absl import flags

from benchmarks import constraints as forms
from experiments import search as script
from experiments.flags import cli, configs
from experiments.sweep import pieces
from nasjax import checks, files
from nasjax import space as space_lib
from nasjax.report import intervals
from nasjax.run import config as config_lib
from nasjax.run import record as record_lib
from nasjax.run.workdir import claims, metrics_file
from nasjax.space import Architecture

# All but contributions, whose steps are of another kind.
_MIXTURES = [n for n in config_lib.RELAXATIONS if n != 'contributions']


def config(name: str, seed: int) -> dict[str, Any]:
  _, middle, _ = forms.limits()
  given = {
    'relax': name,
    'limit': [f'macs={middle}'],
    'seed': seed,
    'steps': 240,
    'warmup_steps': 80,
    'fill': 0.98,
  }
  return {**cli.defaults(script.OPTIONS), **given}


def settled() -> dict[str, Any]:
  """What a workdir is for: all that its searches share."""
  shared = config('softmax', 0)
  del shared['relax'], shared['seed']
  return {**shared, 'recipe': dataclasses.asdict(forms.RECIPE)}


def rows(workdir: pathlib.Path, name: str, seeds: int) -> list[dict[str, Any]]:
  """What each search came to; what was finished before is read."""
  begun: list[float] = []
  compiled = pieces.compiled_once(lambda: begun.append(time.monotonic()))
  found = []
  for seed in range(seeds):
    own = workdir / name / f'seed{seed}'
    path = own / 'row.json'
    if not path.exists():
      a, seconds = timed(own, config(name, seed), compiled, begun)
      row = described(own, a)
      row['accuracy'] = forms.accuracy(workdir / name, a)
      files.write_json(path, {**row, 'seconds': seconds})
    found.append(record_lib.read_json(path))
  return found


def timed(
  folder: pathlib.Path,
  given: dict[str, Any],
  compiled: Callable,
  begun: list[float],
) -> tuple[Architecture, float | None]:
  """What a search came to, and its seconds without compiling.

  None are known of a search that an earlier process began.
  """
  path, fresh = folder / 'seconds.json', not folder.exists()
  told = configs.of(script.Flags, given)
  a = script.run(told, folder, compiled=compiled).architecture
  if fresh:
    files.write_json(path, time.monotonic() - begun[-1])
  return a, record_lib.read_json(path) if path.exists() else None


def described(folder: pathlib.Path, a: Architecture) -> dict[str, Any]:
  """Shares of the limit, and what else the files of a search say."""
  record = space_lib.read_record(folder / 'architecture.json')
  last = metrics_file.read(folder)[-1]
  macs, certificate = record['resources']['macs'], record['certificate']
  limit = macs['limit']
  return {
    'choice': list(a.choice),
    'supernet': record['supernet']['kind'],
    'expected': last['macs'] / limit,
    'argmax': macs['argmax_cost'] / limit,
    'derived': macs['cost'] / limit,
    'given_up': certificate['argmax_log_prob'] - certificate['log_prob'],
    'entropy': statistics.mean(last['entropy'].values()),
  }


def table(groups: dict[str, list[dict[str, Any]]]) -> str:
  lines = [
    '| relaxation | supernet | expected cost | argmax (range) | derived '
    '| given up (nats) | entropy (nats) | accuracy | seconds |',
    '|---|---|' + '---:|' * 7,
  ]
  for name, group in groups.items():
    mean = {
      key: statistics.mean(row[key] for row in group)
      for key in ('expected', 'argmax', 'derived', 'given_up', 'entropy')
    }
    known = [row['seconds'] for row in group if row['seconds'] is not None]
    every = [row['argmax'] for row in group]
    accuracy = intervals.mean_interval(row['accuracy'] for row in group)
    lines.append(
      f'| `{name}` | {group[0]["supernet"]} | {mean["expected"]:.1%} '
      f'| {mean["argmax"]:.1%} ({min(every):.0%} to {max(every):.0%}) '
      f'| {mean["derived"]:.1%} | {mean["given_up"]:.2f} '
      f'| {mean["entropy"]:.2f} | {accuracy.mean:.2%} '
      f'({accuracy.low:.2%} to {accuracy.high:.2%}) '
      f'| {f"{statistics.mean(known):.0f}" if known else "-"} |'
    )
  return '\n'.join(lines)


def main() -> None:
  workdir = claims.claim(flags.FLAGS.workdir, settled())
  groups = {}
  for name in flags.FLAGS.relaxations.split(','):
    checks.lookup('relaxation', name, config_lib.RELAXATIONS)
    groups[name] = rows(workdir, name, flags.FLAGS.seeds)
    print(table({name: groups[name]}).splitlines()[-1], flush=True)
  print(table(groups))
  if len(groups) > 1:
    every = [{**row, 'form': n} for n, group in groups.items() for row in group]
    print(f'accuracies differ by relaxation: p = {forms.chance(every):.2f}')


if __name__ == '__main__':
  cli.define_workdir()
  flags.DEFINE_integer('seeds', 3, 'of each relaxation', 2)
  flags.DEFINE_string('relaxations', ','.join(_MIXTURES), 'which to search by')
  cli.run(main, required=('workdir',))
