"""Spaces and alphas to derive from, and brute force."""

import functools
import itertools

from nasjax import cost, space, spaces

TINY = [spaces.tiny, spaces.tiny_width, spaces.tiny_macro]
PRESETS = [
  spaces.mobile_small,
  spaces.mobile_224,
  spaces.fbnet,
  spaces.proxylessnas,
  spaces.mobilenet_v3,
  spaces.mobile_width,
  spaces.mobile_width_small,
  spaces.mobile_macro,
  spaces.mobile_macro_small,
]


def every_architecture(s):
  sizes = (range(len(options)) for options in s.choices.values())
  return [
    space.Architecture.from_indices(s, indices)
    for indices in itertools.product(*sizes)
  ]


def drawn_alphas(s, rng, scale=2.0):
  return {k: scale * rng.normal(size=len(n)) for k, n in s.choices.items()}


@functools.cache
def costs_of(preset):
  s = preset()
  return s, (cost.macs(s), cost.params(s), cost.memory(s))


def wide_table(s, rng):
  """A cost whose numbers differ by less than any tolerance of a solver."""
  numbers = {
    k: {o: int(rng.integers(0, 10**11)) for o in names}
    for k, names in s.choices.items()
  }
  return cost.table(s, 'energy', 'nJ', numbers)
