"""Alphas on the true objective: what constraints, relaxations and fill cost.

  python -m benchmarks.truth.oracle --workdir=runs/truth [--budgets=61]

The expected accuracy of NAS-Bench-Macro under `probs` is exact from its table,
so alphas can be optimised without any training: 400 steps of Adam, for each of
61 limits and three starts. Prints two Markdown tables, and writes
`oracle.csv`: for each form of constraint, at five strengths or rates, and for
each relaxation, the mean regret of the derived network.

The loss is the error in points, 100 less the accuracy.
"""

import csv
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from benchmarks.kept import Rows
from benchmarks.truth import table
from nasjax import constraint, cost, relax, search
from nasjax.constraint import FORMS, Kept
from nasjax.relax import Relaxed
from nasjax.report import canvas
from nasjax.run.config_checks import RELAXATIONS

STEPS, RATE, STARTS = 400, 0.05, 3
BUDGETS = 61
SPREAD = 0.5  # Standard deviation of the first alphas.
FILLS = 0.0, 0.9, 0.98
FACTORS = 0.1, 0.3, 1.0, 3.0, 10.0
# Factors of these numbers; penalties are in points of accuracy.
_BASE = {
  'linear': 10.0,
  'hinge': 30.0,
  'absolute': 30.0,
  'band': 30.0,
  'log_power_additive': 30.0,
}
LIKELIEST = 8
# In the figure: form, number, label.
_DRAWN = (
  (
    ('project_equal', None, 'project_equal'),
    ('linear', 30.0, 'linear, 30'),
    ('linear', 3.0, 'linear, 3'),
  ),
  (
    ('lagrangian', 0.2, 'lagrangian, 0.2'),
    ('hinge', 9.0, 'hinge, 9'),
    ('augmented_lagrangian', 0.06, 'augmented_lagrangian, 0.06'),
  ),
)


class Case(NamedTuple):
  """One way to optimise, under all limits and from all starts.

  Attributes:
    form: a key of `constraint.FORMS`.
    number: its strength or rate; None is its default, or that it has none.
    relaxation: a key of `RELAXATIONS`.
  """

  form: str
  number: float | None
  relaxation: str = 'softmax'


def limits(budgets: int) -> np.ndarray:
  """Limits on MACs at equal steps of quantiles from 0.05 to 0.95."""
  truth = table.load()
  return np.quantile(truth.costs['macs'], np.linspace(0.05, 0.95, budgets))


def expected(values: jax.Array, probs: Mapping[str, jax.Array]) -> jax.Array:
  """The mean of values over networks drawn from probs, `f32[]`.

  Args:
    values: `f32[networks]`, in the order of the table.
    probs: name to `f32[options]`; independent choices.
  """
  for p in probs.values():  # The first choice is the slowest axis.
    values = p @ values.reshape(len(p), -1)
  return values[0]


def starts(count: int) -> list[dict[str, jax.Array]]:
  """Random alphas."""
  choices = table.load().space.choices
  key = jax.random.key(0)
  found = []
  for i in range(count):
    own = jax.random.fold_in(key, i)
    found.append(
      {
        name: SPREAD * jax.random.normal(jax.random.fold_in(own, j), (len(c),))
        for j, (name, c) in enumerate(choices.items())
      }
    )
  return found


def optimised(case: Case, each: Sequence[float]) -> dict[str, np.ndarray]:
  """Alphas at the end: name to `f32[limits * STARTS, options]`."""
  truth = table.load()
  macs = cost.macs(truth.space)
  losses = jnp.asarray(100 - truth.accuracy, jnp.float32)
  relaxation = RELAXATIONS[case.relaxation]
  kept = [constraint.keep({macs: x}, case.form, case.number) for x in each]
  first = kept[0]

  def run(alphas, limit_state, key):
    tx = search.adam(RATE)
    begin = alphas, tx.init(alphas), limit_state
    step = functools.partial(_step, losses, macs, relaxation, first, tx)
    keys = jax.random.split(key, STEPS)
    (alphas, _, _), _ = jax.lax.scan(step, begin, keys)
    return alphas

  states = [_state(k) for k in kept for _ in range(STARTS)]
  begins = starts(STARTS) * len(each)
  stacked = lambda trees: jax.tree.map(lambda *x: jnp.stack(x), *trees)  # noqa: E731
  keys = jax.random.split(jax.random.key(1), len(begins))
  found = jax.jit(jax.vmap(run))(stacked(begins), stacked(states), keys)
  return {name: np.asarray(a) for name, a in found.items()}


def _state(kept: Kept) -> tuple[Any, Any]:
  projection = kept.projection
  return (
    tuple(c.init() for _, c in kept.constraints),
    () if projection is None else projection.init(),
  )


def _step(losses, macs, relaxation: Relaxed, kept: Kept, tx, carry, key):
  alphas, opt_state, (states, projected) = carry

  def objective(alphas):
    probs, _ = relax.draw(relaxation.probs, alphas, 1.0, key)
    total = expected(losses, probs)
    distribution = relaxation.distribution(alphas, 1.0)
    after = []
    for (c, form), state in zip(kept.constraints, states, strict=True):
      strict = c(search.harden(distribution))
      total, state = form.update(total, c(distribution), strict, state)
      after.append(state)
    return total, tuple(after)

  g, states = jax.grad(objective, has_aux=True)(alphas)
  updates, opt_state = tx.update(g, opt_state, alphas)
  alphas = {name: a + updates[name] for name, a in alphas.items()}
  if kept.projection is not None:
    distribution = lambda a: relaxation.distribution(a, 1.0)  # noqa: E731
    alphas, projected = kept.projection.update(alphas, distribution, projected)
  return (alphas, opt_state, (states, projected)), None


def judged(
  alphas: Mapping[str, np.ndarray], each: Sequence[float], relaxation: str
) -> dict[str, Any]:
  """Mean regrets over all limits and starts; `by limit` with fill 0.9."""
  truth = table.load()
  distribution = RELAXATIONS[relaxation].distribution
  regrets: dict[str, list[float]] = {f'fill {f:g}': [] for f in FILLS}
  regrets |= {'of 8': [], 'argmax / limit': [], 'expected / limit': []}
  all_probs = jax.vmap(lambda a: distribution(a, 1.0))(dict(alphas))
  all_probs = {name: np.asarray(p, float) for name, p in all_probs.items()}
  names = list(truth.space.choices)
  macs = truth.costs['macs']
  for i in range(len(each) * STARTS):
    limit = each[i // STARTS]
    stacked = np.stack([all_probs[name][i] for name in names])
    picked = stacked[np.arange(len(names)), truth.indices]
    scores = np.log(np.maximum(picked, 1e-30)).sum(1)
    kept = {'macs': limit}
    for fill in FILLS:
      rows = truth.keeping(kept, fill)
      best = int(rows[np.argmax(scores[rows])])
      regrets[f'fill {fill:g}'].append(truth.regret(best, kept))
    rows = truth.keeping(kept, 0.9)
    top = rows[np.argsort(-scores[rows], kind='stable')[:LIKELIEST]]
    regrets['of 8'].append(truth.regret(truth.chosen(top), kept))
    regrets['argmax / limit'].append(macs[np.argmax(scores)] / limit)
    regrets['expected / limit'].append(np.exp(scores) @ macs / limit)
  shares = regrets['argmax / limit']
  found = {name: float(np.mean(values)) for name, values in regrets.items()}
  found['argmax misses by'] = float(np.mean(np.abs(np.array(shares) - 1)))
  found['worst'] = float(np.max(regrets['fill 0.9']))
  each_start = np.array(regrets['fill 0.9']).reshape(-1, STARTS)
  return {**found, 'by limit': each_start.round(4).tolist()}


def cases() -> list[Case]:
  """All forms with five numbers each, and all relaxations with two forms."""
  found = []
  for name, form in FORMS.items():
    if form.project is not None:
      found.append(Case(name, None))
      continue
    base = _BASE.get(name, form.number)
    numbers = dict.fromkeys(min(f * base, form.most) for f in FACTORS)
    found += [Case(name, float(number)) for number in numbers]
  for name in RELAXATIONS:
    if name not in ('softmax', 'contributions'):  # These need no relaxation.
      found += [Case('project_equal', None, name)]
      found += [Case('lagrangian_equal', 0.02, name)]
  return found


def _short(value: Any) -> Any:
  return f'{value:.6g}' if isinstance(value, float) else value


def table_of(rows: Sequence[Mapping[str, Any]]) -> str:
  """A Markdown table, a row for each case."""
  columns = [f'fill {f:g}' for f in FILLS]
  columns += ['of 8', 'worst', 'argmax misses by', 'expected / limit']
  lines = [
    '| form | number | relaxation | ' + ' | '.join(columns) + ' |',
    '|---|---:|---|' + '---:|' * len(columns),
  ]
  for row in rows:
    number = row['number']
    shown = [
      f'{row[name]:.1%}'
      if '/' in name or 'misses' in name
      else f'{row[name]:.2f}'
      for name in columns
    ]
    lines.append(
      f'| `{row["form"]}` | {"none" if number is None else f"{number:.3g}"} '
      f'| `{row["relaxation"]}` | ' + ' | '.join(shown) + ' |'
    )
  return '\n'.join(lines)


def figure(rows: Sequence[Mapping[str, Any]], path: pathlib.Path) -> None:
  """Draws regrets against limits: mean and range over the starts."""
  each = limits(len(rows[0]['by limit'])) / 1e6
  drawn = canvas.new(10, 4.2, layout='constrained')
  both = drawn.subplots(1, 2, sharey=True)
  for axes, names in zip(both, _DRAWN, strict=True):
    for (form, number, label), hue in zip(names, canvas.HUES, strict=False):
      (row,) = (
        r
        for r in rows
        if (r['form'], r['number'], r['relaxation'])
        == (form, number, 'softmax')
      )
      regrets = np.array(row['by limit'])
      axes.plot(each, regrets.mean(1), color=hue, label=label, linewidth=1.4)
      axes.fill_between(
        each, regrets.min(1), regrets.max(1), color=hue, alpha=0.15
      )
    axes.set_xlabel('limit (millions of MACs)')
    axes.legend(frameon=False)
    axes.set_ylim(0, 3)
    canvas.plain(axes)
  both[0].set_ylabel('regret (points of accuracy)')
  canvas.save(drawn, path)


def run(
  workdir: pathlib.Path, budgets: int, which: Sequence[Case]
) -> list[dict[str, Any]]:
  """The rows of all cases; what is missing is computed."""
  rows, each = Rows(workdir / 'oracle.jsonl'), limits(budgets)

  def make(case: Case) -> Callable[[], dict[str, Any]]:
    def made():
      alphas = optimised(case, each)
      return {**case._asdict(), **judged(alphas, each, case.relaxation)}

    return made

  return [rows.get(f'{case}, {budgets} limits', make(case)) for case in which]


def define() -> None:
  """Defines the flags; not on import, since scripts have the same names."""
  flags.DEFINE_string('workdir', None, 'Folder of the results.')
  flags.DEFINE_integer('budgets', BUDGETS, 'Limits on MACs.', 1)
  flags.mark_flags_as_required(['workdir'])


def main(argv: Sequence[str]) -> None:
  del argv
  workdir = pathlib.Path(flags.FLAGS.workdir)
  rows = run(workdir, flags.FLAGS.budgets, cases())
  with (workdir / 'oracle.csv').open('w', newline='') as file:
    left = ('case', 'by limit')
    writer = csv.DictWriter(file, [n for n in rows[0] if n not in left])
    writer.writeheader()
    writer.writerows(
      {n: _short(row[n]) for n in writer.fieldnames} for row in rows
    )
  figure(rows, workdir / 'oracle.png')
  softmax = [row for row in rows if row['relaxation'] == 'softmax']
  print(table_of(softmax))
  print()
  print(table_of([row for row in rows if row not in softmax]))


if __name__ == '__main__':
  define()
  app.run(main)
