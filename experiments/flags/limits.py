"""`--limit=macs=1.6M`: limits as typed, and the costs that they are on."""

import functools
from collections.abc import Mapping, Sequence

from nasjax import checks, cost, latency
from nasjax.cost import DEPLOYED, LATENCY, RESOURCES
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
    deploy_dtype: that networks are deployed in; None is that of the table, or
      float32 without a table.

  Raises:
    InputError: no such resource, no positive number, or a table that is
      missing, not needed, or of another space.
  """
  parsed = checks.parse_limits(texts, [*RESOURCES, LATENCY, *DEPLOYED])
  if latency_table is None and LATENCY in parsed:
    raise InputError(
      f'limit {LATENCY}={parsed[LATENCY]:.15g} needs the times of a device; '
      'give latency_table=FILE'
    )
  _check_effect(latency_table, 'latency_table', [LATENCY], parsed)
  _check_effect(deploy_dtype, 'deploy_dtype', [LATENCY, *DEPLOYED], parsed)
  costs = {name: RESOURCES[name] for name in parsed if name in RESOURCES}
  if latency_table is not None:
    table = latency.read(latency_table, space)
    costs[LATENCY] = functools.partial(
      cost.latency, table=table, dtype=deploy_dtype
    )
    deploy_dtype = deploy_dtype or table.dtype
  for name in DEPLOYED:
    dtype = deploy_dtype or 'float32'
    costs[name] = functools.partial(DEPLOYED[name], dtype=dtype)
  return {costs[name](space): limit for name, limit in parsed.items()}


def _check_effect(
  value: str | None, name: str, resources: Sequence[str], parsed: Mapping
) -> None:
  """Raises InputError where a flag was given that no limit reads."""
  if value is not None and not set(resources) & set(parsed):
    raise InputError(
      f'{name}={value} has no effect without a limit on '
      f'{" or ".join(resources)}; leave it out or give '
      f'limit={resources[0]}=NUMBER'
    )


def warnings(latency_table: str | None, space: Space) -> list[str]:
  """Lines on a table that other versions measured; empty without a table."""
  if latency_table is None:
    return []
  return latency.warnings(latency.read(latency_table, space))
