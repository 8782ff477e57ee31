"""Times deriving.

  python -m benchmarks.derive

prints two Markdown tables, on one core. Usual cases: `derive.within` on presets
of two kinds, 22 slots of 9 choices (`fbnet`) and widths and patterns among the
choices (`mobile_macro`), with one to four limits that a random architecture
just keeps, over random alphas, and with a share of one limit to be used; and
`derive.pareto` of the first. Hard cases: a limit to be used to the unit, and
ten limits on 60 slots of 12 options; with the largest gap that the time limit
left. The tables of the costs are built before, once for a space.
"""

import datetime
import platform
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from benchmarks.cost import one_core
from nasjax import cost, derive, ops, space, spaces
from nasjax.cost import Cost
from nasjax.space import Architecture, Slot, Space

CASES = 50
FEW = 10


def case(s: Space, costs: Sequence[Cost], seed: int):
  """Random alphas, and limits that a random architecture just keeps."""
  rng = np.random.default_rng(seed)
  alphas = space.init_alphas(s, jax.random.key(seed), rng.uniform(0.1, 3))
  sizes = [len(options) for options in s.choices.values()]
  kept = Architecture.from_indices(s, [rng.integers(n) for n in sizes])
  return alphas, {c: c.exact(kept) for c in costs}


def timed(call: Callable, *args: Any, **kwargs: Any) -> tuple[Any, float]:
  """What a call returns, and the milliseconds that it took."""
  start = time.perf_counter()
  result = call(*args, **kwargs)
  return result, (time.perf_counter() - start) * 1e3


def solving(
  s: Space, costs: Sequence[Cost], fill: float, cases: int
) -> list[float]:
  """Milliseconds of every case; no limit is exceeded, and all is proven."""
  times = []
  for seed in range(cases):
    alphas, limits = case(s, costs, seed)
    found, taken = timed(derive.solution, s, alphas, limits, fill=fill)
    a = found.architecture
    assert all(c.exact(a) <= limit for c, limit in limits.items())
    assert found.gap == 0
    times.append(taken)
  return times


def price(s: Space, seed: int, most: int) -> Cost:
  """A cost of the user's own, of random integers."""
  rng = np.random.default_rng(seed)
  numbers = {
    k: {o: int(rng.integers(1, most)) for o in names}
    for k, names in s.choices.items()
  }
  return cost.table(s, f'price {seed}', 'units', numbers)


def large() -> Space:
  """60 slots of 12 options."""
  blocks = tuple(
    ops.MBConv(kernel=kernel, expand=expand)
    for kernel in (3, 5, 7)
    for expand in (1, 2, 3, 6)
  )
  slots = tuple(Slot(f'slot_{i}', blocks, 16, 1) for i in range(60))
  return Space(name='60 x 12', slots=slots, image_size=8, channels=3)


def hard(
  s: Space, costs: Sequence[Cost], numbers: Sequence[float], fill: float
) -> tuple[list[float], float]:
  """Milliseconds of every case, and the largest gap in nats.

  Args:
    s: the search space.
    costs: each with a limit.
    numbers: of them; a share is of what a random architecture costs.
    fill: share of one of them that is to be used.
  """
  times, gaps = [], []
  for seed in range(FEW // 2):
    alphas, kept = case(s, costs, seed)
    limits = {
      c: n * kept[c] if n <= 1 else n
      for c, n in zip(costs, numbers, strict=True)
    }
    found, taken = timed(derive.solution, s, alphas, limits, fill=fill)
    a = found.architecture
    assert all(c.exact(a) <= limit for c, limit in limits.items())
    times.append(taken)
    gaps.append(found.gap)
  return times, max(gaps)


def fronts(s: Space, macs: Cost) -> list[float]:
  """Milliseconds of every list of all budgets."""
  alphas = [case(s, [], seed)[0] for seed in range(FEW)]
  return [timed(derive.pareto, s, a, macs)[1] for a in alphas]


def row(what: str, times: list[float], bar: str) -> str:
  middle, most = np.median(times), max(times)
  return f'| {what} | {middle:.0f} ms | {most:.0f} ms | {bar} |'


def usual_rows() -> None:
  for s, cases, bar in (
    (spaces.fbnet(), CASES, '1 s'),
    (spaces.mobile_macro(), FEW, ''),
  ):
    costs = [cost.macs(s), cost.params(s), cost.memory(s), price(s, 0, 1000)]
    for number in (1, 2, 3, 4):
      for fill in (0.0, 0.99):
        what = f'`within`, `{s.name}`, limits: {number}, fill: {fill:g}'
        times = solving(s, costs[:number], fill, cases)
        print(row(what, times, bar), flush=True)
  fbnet = spaces.fbnet()
  print(row('`pareto`, `fbnet`', fronts(fbnet, cost.macs(fbnet)), ''))


def hard_rows() -> None:
  macro, small = spaces.mobile_macro_small(), spaces.mobile_small()
  mobile, fbnet = spaces.mobile_224(), spaces.fbnet()
  many = large()
  prices = [price(many, i, 1000) for i in range(10)]
  both = [cost.macs(small), cost.params(small)]
  for what, s, costs, numbers, fill in (
    ('1.5 M MACs', macro, [cost.macs(macro)], [1.5e6], 1.0),
    ('150 M MACs', mobile, [cost.macs(mobile)], [150e6], 1.0),
    ('300 M MACs', fbnet, [cost.macs(fbnet)], [300e6], 1.0),
    ('MACs of a random one', fbnet, [cost.macs(fbnet)], [1], 1.0),
    ('1.6 M MACs, 60 k parameters', small, both, [1.6e6, 60_000], 1.0),
    ('ten', many, prices, [1] * 10, 0.0),
    ('ten, tight', many, prices, [0.9] * 10, 0.0),
    ('ten, tight', many, prices, [0.9] * 10, 0.98),
  ):
    times, gap = hard(s, costs, numbers, fill)
    name = f'`{s.name}`, limits: {what}, fill: {fill:g}'
    print(row(name, times, f'{gap:.2g}'), flush=True)


def main() -> None:
  one_core()
  print(
    f'{datetime.date.today()}, {platform.machine()}, one core, Python '
    f'{platform.python_version()}, jax {jax.__version__}, {CASES} cases, '
    f'{FEW} of `mobile_macro` and `pareto`, {FEW // 2} hard ones\n'
  )
  print('| what | median | largest | bar |')
  print('|---|---:|---:|---:|')
  usual_rows()
  print('\n| hard case | median | largest | gap, nats |')
  print('|---|---:|---:|---:|')
  hard_rows()


if __name__ == '__main__':
  main()
