"""The outcome of a search: its record, and lines to print."""

import pathlib
from collections.abc import Mapping
from typing import Any

from nasjax import cost, derive, report
from nasjax.derive.problem import Alphas
from nasjax.run import ranking
from nasjax.run import record as record_lib
from nasjax.run.limits import Limits
from nasjax.run.workdir import (
  schema,
)
from nasjax.space import Architecture, SearchSpace, argmax

# Resources of a device, which a limit says more of: a table, or a dtype.
_LIMITED = (cost.LATENCY, *cost.DEPLOYED)


def describe(limits: Limits, metrics: dict[str, Any]) -> str:
  """Text of the progress bar: losses, and expected costs against limits."""
  words = [
    f'{half} {metrics[loss]:.3f}'
    for half, loss in (('train', 'train_loss'), ('valid', 'valid_loss'))
    if loss in metrics
  ]
  for c, limit in limits.items():
    if c.name in metrics:
      expected = report.si(metrics[c.name])
      words.append(f'{c.name} {expected} of {report.si(limit)}')
  return ', '.join(words)


def resources(
  architecture: Architecture,
  plain: Architecture,
  limits: Limits,
) -> dict[str, dict[str, Any]]:
  """Cost and limit of the derived network, for every resource.

  Those of a device, such as latency, are among them where they have a limit.

  Args:
    architecture: the derived architecture.
    plain: the most probable architecture, without limits.
    limits: cost to the largest value allowed, in the cost's unit.
  """
  # Trace two networks, not the space: it has tables over pairs of widths.
  derived, probable = (a.space.fix(a) for a in (architecture, plain))
  limit = {c.name: most for c, most in limits.items()}
  found = {}
  for name, make in cost.RESOURCES.items():
    own = make(derived)
    found[name] = {
      'cost': own.constant,
      'limit': limit.get(name),
      'unit': own.unit,
      'argmax_cost': make(probable).constant,
    }
  for c, most in limits.items():
    if c.name in _LIMITED:
      found[c.name] = {
        'cost': c.exact(architecture),
        'limit': most,
        'unit': c.unit,
        'argmax_cost': c.exact(plain),
      }
  return found


def save(
  workdir: pathlib.Path,
  architecture: Architecture,
  logits: Alphas,
  limits: Limits,
  *,
  fill: float,
  finalists: list[dict[str, Any]],
  **record: Any,
) -> None:
  """Writes `architecture.json`, with the record of where it came from.

  The file stores `logits` as `alphas`: architectures for other limits are
  derived from them.

  Args:
    workdir: folder of the file.
    architecture: the derived architecture.
    logits: logits of the distribution at the end of the search.
    limits: cost to the largest value allowed, in the cost's unit.
    fill: minimum fraction of at least one limit, 0 to 1.
    finalists: a record of each trained finalist; [] where none was trained.
    **record: further JSON values.
  """
  plain = argmax(architecture.space, logits)
  certificate = certified(architecture, logits, limits, fill, finalists)
  kept = {name: row._asdict() for name, row in certificate.kept.items()}
  # Its log-probability shows what `fill` costs.
  unfilled = derive.within(architecture.space, logits, limits)
  architecture.save(
    workdir / 'architecture.json',
    resources=resources(architecture, plain, limits),
    certificate={
      **certificate._asdict(),
      'unfilled_log_prob': derive.log_prob(unfilled, logits),
      'kept': kept,
    },
    finalists=finalists,
    versions=record_lib.versions(),
    alphas=record_lib.to_host(logits),
    **record,
  )


def certified(
  architecture: Architecture,
  logits: Alphas,
  limits: Limits,
  fill: float,
  finalists: list[dict[str, Any]],
) -> derive.Certificate:
  """The certificate with its proven gap.

  The chosen finalist may be less probable than others; the gap is that of the
  most probable finalist.
  """
  best = derive.solution(architecture.space, logits, limits, fill=fill)
  known = [row['log_prob'] for row in finalists]
  known.append(derive.log_prob(architecture, logits))
  bound = derive.log_prob(best.architecture, logits) + best.gap
  gap = bound - max(known)
  return derive.certificate(
    architecture,
    logits,
    limits,
    fill=fill,
    gap=gap if gap > 1e-9 * max(1.0, abs(bound)) else 0.0,  # Else rounding.
    fill_open=best.fill_open,
  )


def derived_from(space: SearchSpace) -> schema.Kind:
  """Checks the fields of a record from which architectures are derived.

  They are the limits of the search and a number for each option of each choice.
  """
  of_resource = schema.fields(limit=schema.maybe(schema.number))
  alphas = {}
  for name, choice in space.choices.items():
    kind = schema.each(schema.number, len(choice))
    for size in reversed(choice.shape):
      kind = schema.each(kind, size)
    alphas[name] = kind
  return schema.fields(
    resources=schema.values(of_resource, [*cost.RESOURCES, *_LIMITED]),
    alphas=schema.fields(**alphas),
  )


def said(row: dict[str, Any], kept: dict[str, Any] | None) -> str:
  """Text about one resource of the derived network."""
  if kept is None:
    return f'{row["cost"]} (argmax: {row["argmax_cost"]})'
  over = kept['argmax_excess']
  against = f'over by {over:.15g}' if over else 'within'
  return (
    f'{row["cost"]} of {kept["limit"]:.15g}, {row["cost"] / kept["limit"]:.1%} '
    f'(argmax: {row["argmax_cost"]}, {against})'
  )


def lines(record: dict[str, Any]) -> list[str]:
  """Lines that summarise `architecture.json`."""
  rows, certificate = record['resources'], record['certificate']
  found = [f'architecture: {" ".join(_options(record["choice"]))}']
  found += [
    f'{name}: {said(row, certificate["kept"].get(name))}'
    for name, row in rows.items()
  ]
  # Contributions are scores, and no probabilities.
  scored = ranking.gates_in(record['supernet']) is not None
  what, best = 'log-probability', 'most probable'
  if scored:
    what, best = 'score', 'best'
  found.append(
    f'{what}: {certificate["log_prob"]:.2f} ({best} within the '
    f'limits, however little it uses: {certificate["unfilled_log_prob"]:.2f}; '
    f'of all: {certificate["argmax_log_prob"]:.2f})'
  )
  found += unproven(certificate)
  found += _of_finalists(record['finalists'])
  found += ranking.lines(record['supernet'])
  inherited = record['supernet'].get('valid_accuracy')
  if inherited is not None:
    found.append(
      f'with its part of the supernet: {inherited:.1%} of the images of the '
      'alphas are labelled right'
    )
  stopped = record['stopped']
  if stopped is None:
    return found
  first = 'stopped at step {step}: {reason}'.format_map(stopped)
  if stopped['returned_to'] != stopped['step']:
    first += f'; derived from step {stopped["returned_to"]}'
  return [first, *found]


def _options(choice: Any) -> list[str]:
  """The chosen options; a name with a shape has nested lists of them."""
  if isinstance(choice, str):
    return [choice]
  parts = choice.values() if isinstance(choice, Mapping) else choice
  return [option for part in parts for option in _options(part)]


def unproven(certificate: Mapping[str, Any]) -> list[str]:
  """Lines about an unkept fill, or a solver that ran out of time.

  Args:
    certificate: of `architecture.json`; older ones say less.
  """
  found = []
  fill, filled = certificate.get('fill', 0.0), certificate.get('filled')
  if filled is not None and filled < fill:
    found.append(
      f'fill of {fill:.15g} is not kept: {filled:.2%} of a limit is used; '
      + (
        'no architecture that uses more was found in time'
        if certificate.get('fill_open')
        else 'no architecture within the limits uses as much'
      )
    )
  most = _most_used(certificate)
  if filled is None and most is not None and most < fill:
    found.append(
      f'fill of {fill:.15g} is not kept: {most:.2%} of a limit is used; fill '
      'acts on costs that add up, such as macs and params, and no limit is on '
      'one'
    )
  if certificate.get('gap'):
    found.append(
      'the time limit ended the solver: another architecture within the limits '
      f'may be up to {certificate["gap"]:.3g} nats more probable'
    )
  return found


def _most_used(certificate: Mapping[str, Any]) -> float | None:
  """Largest used fraction of a limit; None without a limit."""
  rows = map(_fields, certificate.get('kept', {}).values())
  return max((row['cost'] / row['limit'] for row in rows), default=None)


def _fields(row: Any) -> Mapping[str, Any]:
  return row if isinstance(row, Mapping) else row._asdict()


def _of_finalists(rows: list[dict[str, Any]]) -> list[str]:
  if not rows:
    return []
  accuracies = [row['valid_accuracy'] for row in rows]
  trained = [accuracy for accuracy in accuracies if accuracy is not None]
  # Version 0.1.0 had no rounds.
  epochs = [row.get('epochs', 0) for row in rows]
  last = [
    row['valid_accuracy'] or 0.0
    for row, own in zip(rows, epochs, strict=True)
    if own == max(epochs)
  ]
  likeliest = 'diverged'
  if accuracies[0] is not None:
    likeliest = f'{accuracies[0]:.2%}'
    if epochs[0] < max(epochs):
      likeliest += f' after {epochs[0]} epochs, and was left out'
  lines = [
    f'the best of {len(trained)} that were trained: it labels '
    f'{max(last):.2%} of the images of the alphas right, the likeliest '
    + likeliest
  ]
  if diverged := len(accuracies) - len(trained):
    lines.append(f'{diverged} finalists diverged and are left out')
  return lines
