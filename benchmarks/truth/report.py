"""Tables and figures of supernets that rank, and of whole searches.

  python -m benchmarks.truth.report --workdir=runs/truth \
    --quantiles=held_out

reads what `rank` and `search` kept in the workdir, writes `ranks.csv`,
`searches.csv` and a figure of each, and prints their Markdown tables.
"""

import csv
import json
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from absl import app, flags
from matplotlib.ticker import NullLocator
from scipy import stats

from benchmarks.truth import rank, table
from nasjax.errors import InputError
from nasjax.report import canvas, intervals

OURS = 'contributions'
RESAMPLES = 300
RANK_COLUMNS = (
  'draw', 'steps', 'seed', 'raw all', 'raw bands', 'low', 'high',
  'regression all', 'regression bands', 'halves', 'rises', 'seconds',
)  # fmt: skip
SEARCH_COLUMNS = (
  'method', 'resources', 'quantile', 'seed', 'steps', 'regret', 'regret_of_8',
  'regret_of_first_8', 'seconds', 'row', 'finalists',
)  # fmt: skip
Row = dict[str, Any]


def read(path: pathlib.Path) -> list[Row]:
  """The kept rows of a benchmark.

  Raises:
    InputError: nothing was kept.
  """
  if not path.exists():
    raise InputError(f'{path} does not exist; run the benchmark first')
  return [json.loads(line) for line in path.read_text().splitlines()]


def ranked(kept: Sequence[Mapping[str, Any]]) -> list[Row]:
  """Rows of `ranks.csv`: Kendall's taus, those of the bands averaged.

  `low` and `high` are the interval of `raw bands`, by resampling the networks.
  """
  found = []
  for row in kept:
    taus = row['taus']
    bands = [t for name, t in taus.items() if name != 'all']
    mean = lambda key, own=bands: float(np.mean([t[key] for t in own]))  # noqa: E731
    low, high = _interval(row['losses'])
    found.append(
      {
        'draw': row['draw'],
        'steps': row['steps'],
        'seed': row['seed'],
        'raw all': taus['all']['raw'],
        'raw bands': mean('raw'),
        'low': low,
        'high': high,
        'regression all': taus['all']['regression'],
        'regression bands': mean('regression'),
        'halves': row['halves'],
        'rises': row['rises_with_macs'],
        'seconds': row['seconds'],
      }
    )
  found.sort(key=lambda r: (r['draw'], r['steps'], r['seed']))
  return found


def _interval(losses: Mapping[str, Sequence[float]]) -> tuple[float, float]:
  """95 % of the mean tau of the bands, by resampling their networks."""
  truth, rng = table.load(), np.random.default_rng(0)
  sets = {n: rows for n, rows in rank.networks().items() if n != 'all'}
  means = []
  for _ in range(RESAMPLES):
    taus = []
    for name, rows in sets.items():
      own = rng.integers(0, len(rows), len(rows))
      order = -np.asarray(losses[name])[own]
      accuracy = truth.accuracy[rows[own]]
      taus.append(stats.kendalltau(order, accuracy).statistic)
    means.append(np.mean(taus))
  low, high = np.quantile(means, [0.025, 0.975])
  return float(low), float(high)


def trivial() -> list[tuple[str, float, float]]:
  """Rankers without a supernet: name, tau of all, mean tau of the bands."""
  losses = {name: np.zeros(len(rows)) for name, rows in rank.networks().items()}
  taus = rank.taus(losses)
  bands = [t for name, t in taus.items() if name != 'all']
  return [
    (name, taus['all'][name], float(np.mean([t[name] for t in bands])))
    for name in ('depth', 'macs')
  ]


def rank_table(rows: Sequence[Mapping[str, Any]]) -> str:
  """A Markdown row per draw and steps, averaged over seeds."""
  lines = [
    '| draw | steps | seeds | raw, all | raw, bands (95 %) | regression, all '
    '| regression, bands | halves agree | rises with MACs | CPU s |',
    '|---|' + '---:|' * 9,
  ]
  for draw, steps in dict.fromkeys((r['draw'], r['steps']) for r in rows):
    own = [r for r in rows if (r['draw'], r['steps']) == (draw, steps)]
    mean = {
      name: np.mean([float(r[name]) for r in own]) for name in RANK_COLUMNS[3:]
    }
    lines.append(
      f'| {draw} | {int(steps):,} | {len(own)} | {mean["raw all"]:.2f} '
      f'| {mean["raw bands"]:.2f} ({mean["low"]:.2f} to {mean["high"]:.2f}) '
      f'| {mean["regression all"]:.2f} | {mean["regression bands"]:.2f} '
      f'| {mean["halves"]:.2f} | {mean["rises"]:.2f} | {mean["seconds"]:.0f} |'
    )
  for name, whole, bands in trivial():
    lines.append(f'| {name} alone | | | {whole:.2f} | {bands:.2f} | | | | | |')
  return '\n'.join(lines)


def rank_figure(rows: Sequence[Mapping[str, Any]], path: pathlib.Path) -> None:
  """Draws taus within bands against steps, a line for each draw."""
  drawn = canvas.new(10, 4.2, layout='constrained')
  both = drawn.subplots(1, 2, sharey=True)
  draws = list(dict.fromkeys(r['draw'] for r in rows))
  marks = 'os^vDPX'
  for axes, (key, title) in zip(
    both,
    (('raw bands', 'losses'), ('regression bands', 'regression of losses')),
    strict=True,
  ):
    for i, draw in enumerate(draws):
      own = [r for r in rows if r['draw'] == draw]
      steps = sorted({int(r['steps']) for r in own})
      means = [
        np.mean([float(r[key]) for r in own if int(r['steps']) == s])
        for s in steps
      ]
      axes.plot(
        steps,
        means,
        color=canvas.HUES[i % len(canvas.HUES)],
        marker=marks[i % len(marks)],
        label=draw,
        linewidth=1.4,
      )
    for (name, _, bands), style in zip(trivial(), ('--', ':'), strict=True):
      axes.axhline(bands, color=canvas.GREY, linestyle=style, linewidth=1)
      axes.text(1500, bands, f'{name} alone', va='bottom', color=canvas.GREY)
    axes.set_xscale('log')
    axes.set_xticks(sorted({int(r['steps']) for r in rows}))
    axes.xaxis.set_minor_locator(NullLocator())
    canvas.in_si(axes.xaxis)
    axes.set_xlabel('steps, each of one network')
    axes.set_title(title)
    canvas.plain(axes)
  both[0].set_ylabel("Kendall's tau within 80 to 100 % of a limit")
  lines, labels = both[0].get_legend_handles_labels()
  drawn.legend(lines, labels, loc='outside right center', frameon=False)
  canvas.save(drawn, path)


def searched(
  kept: Sequence[Mapping[str, Any]], quantiles: Sequence[float]
) -> list[Row]:
  """Rows of `searches.csv`: those at the given quantiles."""
  found = []
  for row in kept:
    case = re.fullmatch(
      r'(\w+), ([\w+]+) ([\d.]+), seed (\d+)(?:, .*steps=(\d+).*)?', row['case']
    )
    if case is None:
      raise InputError(f'{row["case"]!r} is no search of this version')
    method, resources, quantile, seed, steps = case.groups()
    if float(quantile) in quantiles:
      found.append(
        {
          'method': method,
          'resources': resources,
          'quantile': float(quantile),
          'seed': int(seed),
          'steps': steps or '',
          'regret': row['regret'],
          'regret_of_8': row['regret_of_8'],
          'regret_of_first_8': row['regret_of_first_8'],
          'seconds': row['seconds'],
          'row': row['row'],
          'finalists': ' '.join(map(str, row['finalists'])),
        }
      )
  found.sort(
    key=lambda r: (
      r['method'],
      r['resources'],
      r['steps'],
      r['seed'],
      r['quantile'],
    )
  )
  return found


def by_seed(rows: Iterable[Mapping[str, Any]], key: str) -> dict[int, float]:
  """The mean over the limits, for each seed that has all of them."""
  own: dict[int, dict[float, float]] = {}
  for row in rows:
    limits = own.setdefault(int(row['seed']), {})
    limits[float(row['quantile'])] = float(row[key])
  most = max(map(len, own.values()), default=0)
  return {
    seed: float(np.mean(list(limits.values())))
    for seed, limits in own.items()
    if len(limits) == most
  }


def search_table(rows: Sequence[Mapping[str, Any]], ours: str = OURS) -> str:
  """A Markdown row per method: mean regrets, and paired differences to ours."""
  lines = [
    '| method | seeds | regret | more than ours | of 8 finalists '
    '| more than ours | of the first 8 | regret by quantile | CPU s a limit |',
    '|---|---:|---|---|---|---|---:|---|---:|',
  ]
  base = [row for row in rows if row['method'] == ours]
  for method in dict.fromkeys([ours, *(row['method'] for row in rows)]):
    own = [row for row in rows if row['method'] == method]
    if not own:
      continue
    cells = []
    for key in 'regret', 'regret_of_8':
      values, others = by_seed(own, key), by_seed(base, key)
      cells.append(_mean(list(values.values())))
      shared = sorted(set(values) & set(others))
      less = [values[seed] - others[seed] for seed in shared]
      cells.append('' if method == ours or not less else _mean(less, '+.2f'))
    each = ' '.join(
      f'{np.mean([float(r["regret"]) for r in own if r["quantile"] == q]):.2f}'
      for q in sorted({r['quantile'] for r in own})
    )
    first = np.mean([float(r['regret_of_first_8']) for r in own])
    seconds = np.mean([float(r['seconds']) for r in own])
    seeds = len(by_seed(own, 'regret'))
    lines.append(
      f'| `{method}` | {seeds} | {cells[0]} | {cells[1]} | {cells[2]} '
      f'| {cells[3]} | {first:.2f} | {each} | {seconds:.0f} |'
    )
  return '\n'.join(lines)


def _mean(values: Sequence[float], form: str = '.2f') -> str:
  found = intervals.mean_interval(values)
  if np.isnan(found.low):
    return f'{found.mean:{form}}'
  return f'{found.mean:{form}} ({found.low:{form}} to {found.high:{form}})'


def search_figure(
  rows: Sequence[Mapping[str, Any]], path: pathlib.Path, shown: Sequence[str]
) -> None:
  """Draws regrets against limits, with intervals over seeds, and seconds."""
  drawn = canvas.new(11, 4.4, layout='constrained')
  left, middle, right = drawn.subplots(1, 3)
  truth = table.load()
  for i, method in enumerate(shown):
    own = [row for row in rows if row['method'] == method]
    if not own:
      continue
    hue, mark = canvas.HUES[i % len(canvas.HUES)], 'os^vDPX'[i % 7]
    quantiles = sorted({float(r['quantile']) for r in own})
    macs = [truth.quantile(q) / 1e6 for q in quantiles]
    for axes, key in (left, 'regret'), (middle, 'regret_of_8'):
      found = [
        intervals.mean_interval(
          float(r[key]) for r in own if float(r['quantile']) == q
        )
        for q in quantiles
      ]
      mean = np.array([f.mean for f in found])
      low = np.nan_to_num([f.low for f in found], nan=mean)
      high = np.nan_to_num([f.high for f in found], nan=mean)
      axes.plot(macs, mean, color=hue, marker=mark, label=method, linewidth=1.4)
      axes.fill_between(macs, low, high, color=hue, alpha=0.12, linewidth=0)
    right.plot(
      np.mean([float(r['seconds']) for r in own]),
      np.mean([float(r['regret']) for r in own]),
      color=hue,
      marker=mark,
      label=method,
      linestyle='none',
    )
  for axes, title in (
    (left, 'no network trained'),
    (middle, 'best of 8 finalists'),
  ):
    axes.set_title(title)
    axes.set_xlabel('limit (millions of MACs)')
  left.set_ylabel('regret (points of accuracy)')
  right.set_title('no network trained')
  right.set_xlabel('CPU seconds a limit, without the supernet')
  right.legend(frameon=False, fontsize=8)
  for axes in (left, middle, right):
    axes.set_ylim(bottom=0)
    canvas.plain(axes)
  canvas.save(drawn, path)


def write(
  path: pathlib.Path, columns: Sequence[str], rows: Sequence[Row]
) -> None:
  """Writes rows as CSV; numbers have at most four decimals."""
  with path.open('w', newline='') as file:
    writer = csv.DictWriter(file, columns, lineterminator='\n')
    writer.writeheader()
    for row in rows:
      writer.writerow(
        {
          name: f'{row[name]:.4f}'.rstrip('0').rstrip('.')
          if isinstance(row[name], float)
          else row[name]
          for name in columns
        }
      )


def define() -> None:
  """Defines the flags; not on import, since scripts have the same names."""
  flags.DEFINE_string('workdir', None, 'Folder of the results.')
  flags.DEFINE_enum(
    'quantiles', 'held_out', ['development', 'held_out'], 'Which limits.'
  )
  flags.mark_flags_as_required(['workdir'])


def main(argv: Sequence[str]) -> None:
  del argv
  workdir = pathlib.Path(flags.FLAGS.workdir)
  if (workdir / 'ranks.jsonl').exists():
    rows = ranked(read(workdir / 'ranks.jsonl'))
    write(workdir / 'ranks.csv', RANK_COLUMNS, rows)
    rank_figure(rows, workdir / 'ranks.png')
    print(rank_table(rows))
    print()
  quantiles = getattr(table, flags.FLAGS.quantiles.upper())
  every = searched(read(workdir / 'searches.jsonl'), quantiles)
  write(workdir / 'searches.csv', SEARCH_COLUMNS, every)
  for resources in dict.fromkeys(row['resources'] for row in every):
    for steps in sorted({r['steps'] for r in every if r['steps']}):
      rows = [
        r
        for r in every
        if r['resources'] == resources and r['steps'] in ('', steps)
      ]
      if not any(r['method'] == OURS for r in rows):
        continue
      print(f'{resources}, supernets of {int(steps):,} steps')
      print(search_table(rows))
      print()
      shown = [m for m in _SHOWN if any(r['method'] == m for r in rows)]
      name = f'searches_{resources}_{steps}.png'
      search_figure(rows, workdir / name, shown)


_SHOWN = OURS, 'regression', 'straight_through', 'peer', 'alone', 'before'

if __name__ == '__main__':
  define()
  app.run(main)
