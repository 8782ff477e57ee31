"""The chain of NAS-Bench-Macro, held to the table of its benchmark."""

import numpy as np

from benchmarks.truth import table
from nasjax import cost, spaces


def test_all_6561_networks_cost_what_the_benchmark_prints():
  truth = table.load()  # Refuses a row that differs from the space.
  assert len(truth.indices) == 3**8
  macs, params = cost.macs(truth.space), cost.params(truth.space)
  # Printed by the benchmark for the smallest network and for the best.
  assert [c.exact(truth.architecture(0)) for c in (macs, params)] == [
    7713280,
    387882,
  ]
  best = truth.architecture(int(truth.accuracy.argmax()))
  assert best.indices == (2, 2, 2, 1, 2, 2, 0, 2)
  assert round(float(truth.accuracy.max()), 2) == 93.13
  assert round(macs.exact(best) / 1e6, 1) == 85.2


def test_narrow_networks_have_the_same_choices():
  full, narrow = spaces.nasbench_macro(), spaces.nasbench_macro(width=0.25)
  assert full.choices == narrow.choices
  widths = [[s.fixed_features for s in x.slots][:-1] for x in (full, narrow)]
  np.testing.assert_array_equal(np.array(widths[0]) / 4, widths[1])
