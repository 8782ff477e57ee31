"""Tables of latency: their file, their keys, fits and readers."""

from nasjax.latency.fit import fit
from nasjax.latency.keys import block_key
from nasjax.latency.published import once_for_all, proxylessnas
from nasjax.latency.readers import read, read_csv, read_yaml
from nasjax.latency.table import FIXED, LatencyTable
from nasjax.latency.versions import warnings

__all__ = [
  'FIXED',
  'LatencyTable',
  'block_key',
  'fit',
  'once_for_all',
  'proxylessnas',
  'read',
  'read_csv',
  'read_yaml',
  'warnings',
]
