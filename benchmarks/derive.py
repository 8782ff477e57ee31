"""Times deriving.

  python -m benchmarks.derive

prints one Markdown table, on one core: `derive.within` on presets of two kinds,
22 slots of 9 choices (`fbnet`) and widths and patterns among the choices
(`mobile_macro`), with one to three limits that a random architecture just
keeps, over random alphas; and `derive.pareto` of the first. The tables of the
costs are built before, once for a space.
"""

import datetime
import platform
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from benchmarks.cost import one_core
from nasjax import cost, derive, space, spaces
from nasjax.cost import Cost
from nasjax.space import Architecture, Space

CASES = 50


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


def solving(s: Space, costs: Sequence[Cost]) -> list[float]:
  """Milliseconds of every case; no limit is exceeded."""
  times = []
  for seed in range(CASES):
    alphas, limits = case(s, costs, seed)
    found, taken = timed(derive.within, s, alphas, limits)
    assert all(c.exact(found) <= limit for c, limit in limits.items())
    times.append(taken)
  return times


def fronts(s: Space, macs: Cost) -> list[float]:
  """Milliseconds of every list of all budgets."""
  alphas = [case(s, [], seed)[0] for seed in range(CASES // 5)]
  return [timed(derive.pareto, s, a, macs)[1] for a in alphas]


def row(what: str, times: list[float], bar: str) -> str:
  middle, most = np.median(times), max(times)
  return f'| {what} | {middle:.0f} ms | {most:.0f} ms | {bar} |'


def main() -> None:
  one_core()
  print(
    f'{datetime.date.today()}, {platform.machine()}, one core, Python '
    f'{platform.python_version()}, jax {jax.__version__}, {CASES} cases\n'
  )
  print('| what | median | largest | bar |')
  print('|---|---:|---:|---:|')
  for s, bar in ((spaces.fbnet(), '1 s'), (spaces.mobile_macro(), '')):
    costs = [cost.macs(s), cost.params(s), cost.memory(s)]
    for number in (1, 2, 3):
      what = f'`within`, `{s.name}`, limits: {number}'
      print(row(what, solving(s, costs[:number]), bar), flush=True)
  fbnet = spaces.fbnet()
  print(row('`pareto`, `fbnet`', fronts(fbnet, cost.macs(fbnet)), ''))


if __name__ == '__main__':
  main()
