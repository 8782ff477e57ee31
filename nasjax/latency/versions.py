"""Whether a table was measured with the runtime that is installed."""

import importlib.metadata

from nasjax.latency.table import LatencyTable

# Runtime to the name under which it is installed.
_PACKAGES = {'litert': 'ai-edge-litert'}


def installed(runtime: str) -> str | None:
  """Version of an installed runtime; None where there is none.

  Example:
    >>> installed('numpy').count('.') >= 1, installed('no-such-runtime')
    (True, None)
  """
  try:
    return importlib.metadata.version(_PACKAGES.get(runtime, runtime))
  except (importlib.metadata.PackageNotFoundError, ValueError):
    return None


def warnings(table: LatencyTable) -> list[str]:
  """A line where another version of the runtime measured a table.

  Args:
    table: that is used here; a runtime that is not installed here says nothing.

  Example:
    >>> table = LatencyTable(
    ...   'tiny', {'fixed': 1.0}, 'choices', runtime='numpy', version='0.1')
    >>> len(warnings(table))
    1
  """
  if table.runtime is None or table.version is None:
    return []
  here = installed(table.runtime)
  if here in (None, table.version):
    return []
  return [
    f'the latency table is of {table.runtime} {table.version}, and {here} is '
    'installed; its times may differ, so measure again'
  ]
