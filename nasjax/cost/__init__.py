"""Costs of architectures: expected, exact, and their bounds.

A cost is a pure function of probabilities: the expectation if every choice is
drawn independently, and at one-hot probs the exact cost of that network.
"""

from nasjax.cost.base import Cost
from nasjax.cost.blocks import (
  measure_macs,
  measure_memory,
  measure_params,
  op_macs,
  op_memory,
  op_params,
  op_shape,
  traced,
  traced_shape,
)
from nasjax.cost.deployed import DEPLOYED, DTYPES, ram_kb, size_kb
from nasjax.cost.latency import LATENCY, latency
from nasjax.cost.resources import RESOURCES, macs, memory, params, table
from nasjax.cost.smooth import smooth_maximum, steered
from nasjax.space import Measure, Number, Table

__all__ = [
  'DEPLOYED',
  'DTYPES',
  'LATENCY',
  'RESOURCES',
  'Cost',
  'Measure',
  'Number',
  'Table',
  'latency',
  'macs',
  'measure_macs',
  'measure_memory',
  'measure_params',
  'memory',
  'op_macs',
  'op_memory',
  'op_params',
  'op_shape',
  'params',
  'ram_kb',
  'size_kb',
  'smooth_maximum',
  'steered',
  'table',
  'traced',
  'traced_shape',
]
