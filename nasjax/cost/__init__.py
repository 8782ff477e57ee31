"""What a choice costs: expected, exact, and within which bounds.

A cost is one pure function of probabilities: the expectation where every choice
is drawn independently, and at a one-hot the exact cost of that network.
"""

from nasjax.cost.base import Cost
from nasjax.cost.resources import macs, memory, params, table
from nasjax.cost.tables import (
  Measure,
  Number,
  Table,
  op_macs,
  op_memory,
  op_params,
  op_shape,
  traced,
  traced_shape,
)

__all__ = [
  'Cost',
  'Measure',
  'Number',
  'Table',
  'macs',
  'memory',
  'op_macs',
  'op_memory',
  'op_params',
  'op_shape',
  'params',
  'table',
  'traced',
  'traced_shape',
]
