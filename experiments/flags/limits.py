"""`--limit=macs=1.6M`: limits as typed, and the costs that they are on."""

import functools
from collections.abc import Mapping, Sequence

from nasjax import checks, cost, latency
from nasjax.cost import LATENCY, RESOURCES
from nasjax.errors import InputError
from nasjax.space import Space


def of(
  texts: Sequence[str],
  space: Space,
  latency_table: str | None = None,
  deploy_dtype: str | None = None,
) -> Mapping[cost.Cost, float]:
  """`resource=number`, as typed, to costs of a space.

  Args:
    texts: as typed.
    space: that the costs are of.
    latency_table: file of the table for a limit on latency.
    deploy_dtype: that networks are deployed in; None is that of the table.

  Raises:
    InputError: no such resource, no positive number, or a table that is
      missing, not needed, or of another space.
  """
  parsed = checks.parse_limits(texts, [*RESOURCES, LATENCY])
  if latency_table is None and LATENCY in parsed:
    raise InputError(
      f'limit {LATENCY}={parsed[LATENCY]:.15g} needs the times of a device; '
      'give latency_table=FILE'
    )
  if LATENCY not in parsed:
    for name, value in (
      ('latency_table', latency_table),
      ('deploy_dtype', deploy_dtype),
    ):
      if value is not None:
        raise InputError(
          f'{name}={value} has no effect without a limit on {LATENCY}; leave '
          f'it out or give limit={LATENCY}=NUMBER'
        )
  costs = {name: RESOURCES[name] for name in parsed if name in RESOURCES}
  if latency_table is not None:
    table = latency.read(latency_table, space)
    costs[LATENCY] = functools.partial(
      cost.latency, table=table, dtype=deploy_dtype
    )
  return {costs[name](space): limit for name, limit in parsed.items()}


def warnings(latency_table: str | None, space: Space) -> list[str]:
  """Lines on a table that other versions measured; empty without a table."""
  if latency_table is None:
    return []
  return latency.warnings(latency.read(latency_table, space))
