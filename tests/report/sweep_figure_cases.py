"""Networks of one space."""

import numpy as np

from nasjax import space, spaces


def drawn_networks(n):
  macro = spaces.mobile_macro_small()
  rng = np.random.default_rng(0)
  sizes = [len(o) for o in macro.choices.values()]
  drawn = [[rng.integers(k) for k in sizes] for _ in range(n)]
  found = [space.Architecture.from_indices(macro, d) for d in drawn]
  return [space.fix(macro, a) for a in found]
