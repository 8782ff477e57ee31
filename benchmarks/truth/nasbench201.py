"""NAS-Bench-201's table: accuracies and latencies of all 15,625 networks.

`LICENSE.nasbench201` beside this file says where the numbers come from.
"""

import csv
import functools
import gzip
import pathlib

import numpy as np

from benchmarks.truth import table
from benchmarks.truth.table import Truth
from nasjax import spaces

PATH = pathlib.Path(__file__).parent / 'nasbench201.csv.gz'
# Latencies at batch 1, and how each is called among the costs.
LATENCIES = 'pixel3_ms', 'raspi4_ms', 'fpga_ms', 'eyeriss_ms'


@functools.cache
def rows() -> list[dict[str, str]]:
  """The rows, in lexicographic order of the six digits in `edges`."""
  with gzip.open(PATH, 'rt', newline='') as file:
    return list(csv.DictReader(file))


@functools.cache
def load() -> Truth:
  """Reads the table.

  Its accuracy is that on the validation images of CIFAR-10 after 200 epochs, of
  one seed. Its costs are `macs`, `params` and `LATENCIES`.

  Raises:
    InputError: the table does not match the space.
  """
  return table.read(
    spaces.nasbench201(),
    rows(),
    named='edges',
    tests=('c10_val200',),
    measured=LATENCIES,
  )


def short() -> np.ndarray:
  """`f64[networks]`: test accuracy after 12 epochs, in percent."""
  return np.array([float(row['c10_test12']) for row in rows()])
