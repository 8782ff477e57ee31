"""Which form of constraint meets a limit, how nearly, and at what price.

  python -m benchmarks.constraints --workdir=runs/constraints

searches the embedded data set by the default supernet, for every form of
constraint, limit (25, 50 and 75 % of the space's range of MACs) and seed,
trains what was derived, all alike, and writes a table and a figure. Before, the
one number of each form is tuned: the default, a third of it and three times it
are searched with at the lowest limit, which the start exceeds, by a seed that
the table does not have, and the one stays whose expected cost ends nearest to
the limit. Projections have no number.

What is finished is kept in the workdir: killed and typed again, it goes on, and
two processes may share the forms by `--forms`, as each form has files of its
own. Table and figure are of the forms that were named last: name all, once all
are done.
"""

import csv
import dataclasses
import functools
import pathlib
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from scipy import stats

from benchmarks.kept import Rows
from experiments import search as script
from experiments.flags import cli, configs
from nasjax import checks, constraint, data, derive, search
from nasjax.constraint import Kept
from nasjax.report import canvas, intervals
from nasjax.run import compilation, datasets, training
from nasjax.run import inputs as inputs_lib
from nasjax.run import record as record_lib
from nasjax.run.workdir import claims
from nasjax.search import State
from nasjax.space import Architecture, argmax, fix
from nasjax.train import recipe as recipes

PLACES = (0.25, 0.5, 0.75)  # of the range from the smallest cost to the largest
SIZES = {'steps': 180, 'warmup_steps': 60, 'batch_size': 16}
ANY_LIMIT = 2_000_000  # Limits are data: whatever is compiled takes all.
FACTORS, TUNING_SEED = (1.0, 1 / 3, 3.0), 100  # Of equal ones the first.
RECIPE = recipes.Recipe(epochs=6)
SETTLED = {  # What a workdir is for.
  'sizes': SIZES,
  'recipe': dataclasses.asdict(RECIPE),
  'places': PLACES,
  'factors': FACTORS,
}
_SHOWN = {'argmax': 'the most probable of all', 'filled': 'derived, filled'}
MISS, FILLED = canvas.VERMILION, canvas.BLUE


class Case(NamedTuple):
  """One search.

  Attributes:
    form: a key of `constraint.FORMS`.
    limit: in MACs.
    seed: of everything in it.
    number: of the form; None is its default, or that it has none.
  """

  form: str
  limit: int
  seed: int
  number: float | None = None


@functools.cache
def inputs(case: Case) -> inputs_lib.Inputs:
  """What the flags of one search name."""
  return script.prepare(configs.of(script.Flags, config(case)))


def config(case: Case) -> dict[str, Any]:
  limit = [f'macs={case.limit}']
  given = {'constraint': case.form, 'limit': limit, 'seed': case.seed}
  if case.number is not None:
    given[constraint.FORMS[case.form].option] = f'{case.number:.15g}'
  # Alphas that follow the gradient of a mixture.
  mixture = {'relax': 'softmax', 'fill': 0.98}
  return {**cli.defaults(script.OPTIONS), **mixture, **SIZES, **given}


def any_case(form: str = 'lagrangian', seed: int = 0) -> Case:
  """For what does not depend on limits and numbers."""
  return Case(form, ANY_LIMIT, seed)


def arrays(seed: int):
  """The halves that weights and alphas learn from."""
  own = inputs(any_case(seed=seed))
  return jax.device_put((own.train, own.valid))


def bare(state: State) -> State:
  """Without what forms differ in: the weights' step looks at none of it."""
  return state._replace(constraints=(), projection=())


@functools.cache
def parts(form: str) -> search.Search:
  case = any_case(form)
  return inputs_lib.build(inputs(case))


@functools.cache
def begun(seed: int) -> State:
  key = jax.random.key(seed)
  init = parts('lagrangian').init
  _, start = compilation.initial(init, key, *arrays(seed))
  return bare(start())


@functools.cache
def weight_step() -> Callable:
  step = jax.jit(parts('lagrangian').weight_step)
  return step.lower(begun(0), arrays(0)[0]).compile()


@functools.cache
def warm(seed: int) -> tuple[State, float]:
  """The end of the warm-up, in which no form has a part, and its seconds."""
  state, (train, _), step = begun(seed), arrays(seed), weight_step()
  start = time.perf_counter()
  for _ in range(SIZES['warmup_steps']):
    state, _ = step(state, train)
  jax.block_until_ready(state)
  return state, time.perf_counter() - start


def with_constraint(state: State, kept: Kept) -> State:
  return state._replace(
    constraints=tuple(c.init() for _, c in kept.constraints),
    projection=() if kept.projection is None else kept.projection.init(),
  )


@functools.cache
def alpha_step(form: str) -> Callable:
  kept = inputs(any_case(form)).kept
  step = jax.jit(parts(form).alpha_step)
  return step.lower(with_constraint(begun(0), kept), *arrays(0)).compile()


def searched(case: Case) -> tuple[State, float]:
  """The last state of one search, and its seconds without compiling."""
  state, seconds = warm(case.seed)
  state = with_constraint(state, inputs(case).kept)
  train, valid = arrays(case.seed)
  move_weights, move_alphas = weight_step(), alpha_step(case.form)
  start = time.perf_counter()
  for _ in range(SIZES['steps'] - SIZES['warmup_steps']):
    weights, _ = move_weights(bare(state), train)
    state = weights._replace(
      constraints=state.constraints, projection=state.projection
    )
    state, _ = move_alphas(state, train, valid)
  jax.block_until_ready(state)
  return state, seconds + time.perf_counter() - start


def distribution(case: Case, state: State):
  own = inputs(case).config
  return own.relaxation.distribution(state.alphas, own.heat(state.step), None)


def limits() -> list[int]:
  (macs,) = inputs(any_case()).limits
  low, high = macs.bounds()
  return [round(low + place * (high - low)) for place in PLACES]


def row(
  rows: Rows, case: Case, make: Callable[[Case], dict[str, Any]]
) -> dict[str, Any]:
  """The row of a case; made where it is missing."""
  name = f'{case.limit}, seed {case.seed}, {case.number}'
  return rows.get(name, lambda: {**case._asdict(), **make(case)})


def tuned(folder: pathlib.Path, name: str) -> float | None:
  """The number by which the expected cost ends nearest to the limit."""
  form, rows = constraint.FORMS[name], Rows(folder / 'tuning.jsonl')
  if form.project is not None:
    return None
  limit, *_ = limits()

  def expected(case):
    state, _ = searched(case)
    (macs,) = inputs(case).limits
    return {'expected': float(macs(distribution(case, state)))}

  numbers = [min(form.number * f, form.most) for f in FACTORS]
  found = [
    row(rows, Case(name, limit, TUNING_SEED, n), expected) for n in numbers
  ]
  misses = [abs(row['expected'] / limit - 1) for row in found]
  return numbers[misses.index(min(misses))]


def outcome(folder: pathlib.Path, case: Case) -> dict[str, Any]:
  """What one search came to, in MACs, and what its network is worth."""
  (state, seconds), own = searched(case), inputs(case)
  (macs,) = own.limits
  space, alphas, kept = own.space, state.alphas, {macs: case.limit}
  within, filled = (
    derive.within(space, alphas, kept, fill=share) for share in (0.0, 0.98)
  )
  plain = argmax(space, alphas)
  p = distribution(case, state)
  entropies = [-(q * jnp.log(jnp.maximum(q, 1e-30))).sum() for q in p.values()]
  log_prob = functools.partial(derive.log_prob, alphas=alphas)
  return {
    'expected': float(macs(p)),
    'argmax': macs.exact(plain),
    'within': macs.exact(within),
    'filled': macs.exact(filled),
    'given_up': log_prob(plain) - log_prob(filled),
    'entropy': statistics.mean(map(float, entropies)),
    'seconds': seconds,
    'accuracy': accuracy(folder, filled),
  }


def accuracy(folder: pathlib.Path, a: Architecture) -> float:
  """On the test images; in one folder, each network is trained once."""
  dataset = data.load(data.EMBEDDED)
  name = 'net_' + '_'.join(map(str, a.indices))
  own = folder / 'trainings' / name
  own.mkdir(parents=True, exist_ok=True)
  trained = training.run(
    own,
    fix(a.space, a),
    dataset,
    datasets.batches_for(RECIPE, dataset),
    RECIPE,
    seed=0,
    record={'name': name},
  )
  return trained.test_accuracy


def outcomes(
  workdir: pathlib.Path, form: str, seeds: int
) -> list[dict[str, Any]]:
  """Those of all limits and seeds; what was finished before is read."""
  folder = workdir / form
  folder.mkdir(exist_ok=True)
  number, rows = tuned(folder, form), Rows(folder / 'searches.jsonl')
  make = functools.partial(outcome, folder)
  return [
    row(rows, Case(form, limit, seed, number), make)
    for seed in range(seeds)
    for limit in limits()
  ]


def by_form(rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
  groups: dict[str, list[dict[str, Any]]] = {}
  for row in rows:
    groups.setdefault(row['form'], []).append(row)
  return groups


def shares(group: list[dict[str, Any]], key: str) -> list[float]:
  return [row[key] / row['limit'] for row in group]


def table(rows: Iterable[dict[str, Any]]) -> str:
  """A row per form, over its limits and seeds."""
  lines = [
    '| form | number | expected cost | argmax (range) | argmax misses by '
    '| derived | derived, filled | over the limit | given up (nats) '
    '| entropy (nats) | accuracy | seconds |',
    '|---|' + '---:|' * 11,
  ]
  for form, group in by_form(rows).items():
    middle = {
      key: statistics.median(shares(group, key))
      for key in ('expected', 'argmax', 'within', 'filled')
    }
    every = shares(group, 'argmax')
    miss = statistics.mean(abs(share - 1) for share in every)
    over = sum(max(r['within'], r['filled']) > r['limit'] for r in group)
    mean = {
      key: statistics.mean(row[key] for row in group)
      for key in ('given_up', 'entropy', 'accuracy', 'seconds')
    }
    number = group[0]['number']
    lines.append(
      f'| `{form}` | {"none" if number is None else f"{number:.3g}"} '
      f'| {middle["expected"]:.1%} | {middle["argmax"]:.1%} '
      f'({min(every):.0%} to {max(every):.0%}) | {miss:.1%} '
      f'| {middle["within"]:.1%} | {middle["filled"]:.1%} '
      f'| {over} of {len(group)} | {mean["given_up"]:.2f} '
      f'| {mean["entropy"]:.2f} | {mean["accuracy"]:.2%} '
      f'| {mean["seconds"]:.0f} |'
    )
  return '\n'.join(lines)


def by_limit(rows: Sequence[dict[str, Any]]) -> str:
  """A row per form, over its seeds: what medians over limits would hide."""
  found = sorted({row['limit'] for row in rows})
  names = [f'{limit / 1e6:.2f} M' for limit in found]
  head = [
    f'{what}, {name}'
    for what in ('expected', 'argmax misses', 'accuracy')
    for name in names
  ]
  lines = [f'| form | {" | ".join(head)} |', '|---|' + '---:|' * len(head)]
  for form, group in by_form(rows).items():
    each = [[r for r in group if r['limit'] == limit] for limit in found]
    mean = lambda values: statistics.mean(values)  # noqa: E731
    cells = [f'{mean(shares(own, "expected")):.0%}' for own in each]
    cells += [
      f'{mean(abs(s - 1) for s in shares(own, "argmax")):.0%}' for own in each
    ]
    cells += [f'{mean(r["accuracy"] for r in own):.2%}' for own in each]
    lines.append(f'| `{form}` | {" | ".join(cells)} |')
  return '\n'.join(lines)


def against(rows: Iterable[dict[str, Any]], default: str) -> str:
  """A row per form: accuracies less those of the default.

  Differences of one limit and seed are a pair; Student's interval is of their
  mean.

  Example:
    >>> rows = [
    ...   {'form': form, 'accuracy': accuracy}
    ...   for form, each in (('a', [0.1, 0.2]), ('b', [0.2, 0.4]))
    ...   for accuracy in each
    ... ]
    >>> print(against(rows, 'a').splitlines()[-1])
    | `b` | +15.00 | -48.53 to +78.53 |
  """
  groups = by_form(rows)
  own = [row['accuracy'] for row in groups.pop(default)]
  lines = [f'| form | less `{default}` (points) | 95 % |', '|---|---:|---:|']
  for form, group in groups.items():
    pairs = zip(group, own, strict=True)
    i = intervals.mean_interval(row['accuracy'] - base for row, base in pairs)
    ends = f'{100 * i.low:+.2f} to {100 * i.high:+.2f}'
    lines.append(f'| `{form}` | {100 * i.mean:+.2f} | {ends} |')
  return '\n'.join(lines)


def write(rows: Sequence[dict[str, Any]], path: pathlib.Path) -> None:
  """All searches, a line each."""
  with path.open('w', newline='') as file:
    table = csv.DictWriter(file, list(rows[0]), lineterminator='\n')
    table.writeheader()
    table.writerows(rows)


def read(path: pathlib.Path) -> list[dict[str, Any]]:
  """What `write` wrote, all numbers as floats."""

  def value(key, text):
    if key in ('case', 'form'):
      return text
    return float(text) if text else None

  with path.open(newline='') as file:
    rows = list(csv.DictReader(file))
  return [{key: value(key, text) for key, text in row.items()} for row in rows]


def distinct(rows: Iterable[dict[str, Any]]) -> int:
  """How many searches came to something of their own.

  Forms that hold costs down are one and the same where no limit binds.
  """
  seen = ('limit', 'seed', 'expected', 'argmax', 'within', 'filled')
  return len({tuple(row[key] for key in seen) for row in rows})


def chance(rows: list[dict[str, Any]]) -> float:
  """The p-value that accuracies differ by form, beside limit and seed.

  Those of one limit and seed are a block, of which the mean is taken off
  (Fisher's F of a randomised block design).
  """
  groups = by_form(rows)
  table = np.array(
    [[r['accuracy'] for r in group] for group in groups.values()]
  )
  forms, blocks = table.shape
  effects = table.mean(1) - table.mean()
  rest = table - table.mean(0) - effects[:, None]
  freedom = forms - 1, (forms - 1) * (blocks - 1)
  between = blocks * (effects**2).sum() / freedom[0]
  return float(stats.f.sf(between / ((rest**2).sum() / freedom[1]), *freedom))


def figure(rows: Sequence[dict[str, Any]], path: pathlib.Path) -> None:
  """Shares of the limit that each search's argmax and derived network use."""
  forms, found = list(by_form(rows)), sorted({row['limit'] for row in rows})
  height = 1.5 + 0.3 * len(forms)
  drawn = canvas.new(10, height, layout='constrained')
  every = drawn.subplots(1, len(found), sharex=True, sharey=True, squeeze=False)
  for axes, limit in zip(every[0], found, strict=True):
    axes.axvline(1, color=canvas.GREY, linewidth=1)
    own = [row for row in rows if row['limit'] == limit]
    for key, colour, up in (('argmax', MISS, -0.12), ('filled', FILLED, 0.12)):
      label = _SHOWN[key]
      places = [forms.index(row['form']) + up for row in own]
      style = {'color': colour, 'alpha': 0.6, 'markersize': 5, 'label': label}
      axes.plot(shares(own, key), places, 'o', **style)
    axes.set_title(f'limit {limit / 1e6:.2f} M', fontsize=10)
    canvas.plain(axes)
    axes.xaxis.set_major_formatter(lambda x, _: f'{x:.0%}')
  first = every[0][0]
  first.set_yticks(range(len(forms)), forms)
  first.invert_yaxis()
  drawn.supxlabel('MACs, as a share of the limit', fontsize=10)
  handles, labels = first.get_legend_handles_labels()
  drawn.legend(
    handles,
    labels,
    loc='outside upper right',
    ncols=2,
    fontsize=9,
    frameon=False,
  )
  canvas.save(drawn, path)


def main() -> None:
  workdir = claims.claim(flags.FLAGS.workdir, SETTLED)
  rows = []
  for form in flags.FLAGS.forms.split(','):
    checks.lookup('constraint', form, constraint.FORMS)
    found = outcomes(workdir, form, flags.FLAGS.seeds)
    print(table(found).splitlines()[-1], flush=True)
    rows += found
  print(table(rows), by_limit(rows), sep='\n\n')
  default = script.OPTIONS['constraint'][0]
  if len(by_form(rows)) > 1 and default in by_form(rows):
    print(f'\n{against(rows, default)}')
  print(
    f'{distinct(rows)} of {len(rows)} searches came to something of their own'
  )
  if len(by_form(rows)) > 1:
    print(f'accuracies differ by form: p = {chance(rows):.2f}')
  write(rows, workdir / 'constraints.csv')
  figure(rows, workdir / 'constraints.png')
  print(f'wrote {workdir / "constraints.png"}, by {record_lib.versions()}')


if __name__ == '__main__':
  cli.define_workdir()
  flags.DEFINE_integer('seeds', 3, 'of each form and limit', 1)
  flags.DEFINE_string('forms', ','.join(constraint.FORMS), 'which to search')
  cli.run(main, required=('workdir',))
