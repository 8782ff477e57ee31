"""What a search came to: its record, and in words."""

import math
import pathlib
from collections.abc import Mapping
from typing import Any

import jax

from nasjax import cost, derive, report
from nasjax.run import loop
from nasjax.run.limits import Limits
from nasjax.run.workdir import recorded
from nasjax.space import Alphas, Architecture, Space, argmax

RESOURCES = {'macs': cost.macs, 'params': cost.params, 'memory': cost.memory}


def describe(limits: Limits, metrics: dict[str, Any]) -> str:
  """What the progress bar says: losses, and expected costs against limits."""
  words = [f'train {metrics["train_loss"]:.3f}']
  if 'valid_loss' in metrics:
    words.append(f'valid {metrics["valid_loss"]:.3f}')
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
  """What the derived network costs in every resource, and under which limit.

  Args:
    architecture: what was derived.
    plain: the most probable one, limits aside.
    limits: of any costs of their space.
  """
  # Two networks are traced, not their space: widths multiply in that one.
  derived, probable = (a.space.fix(a) for a in (architecture, plain))
  limit = {c.name: most for c, most in limits.items()}
  found = {}
  for name, make in RESOURCES.items():
    own = make(derived)
    found[name] = {
      'cost': own.constant,
      'limit': limit.get(name),
      'unit': own.unit,
      'argmax_cost': make(probable).constant,
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

  What it calls alphas are `logits`: from them it was derived, and from them
  others are for other limits.

  Args:
    workdir: where.
    architecture: what was derived.
    logits: what it was derived from.
    limits: what it was derived for.
    fill: share of one limit that it was to use.
    finalists: what is known of each that was trained; none of a single one.
    **record: what else is to be kept, as JSON values.
  """
  plain = argmax(architecture.space, logits)
  certificate = certified(architecture, logits, limits, fill, finalists)
  kept = {name: row._asdict() for name, row in certificate.kept.items()}
  for name, expected in lower_bounds(logits, limits).items():
    kept[name]['expected_lower_bound'] = expected
  # What filling gives up, next to the most probable within the limits.
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
    versions=loop.versions(),
    alphas=loop.to_host(logits),
    **record,
  )


def certified(
  architecture: Architecture,
  logits: Alphas,
  limits: Limits,
  fill: float,
  finalists: list[dict[str, Any]],
) -> derive.Certificate:
  """The certificate, with what is proven of it.

  A finalist may be less probable than another one, by choice: the gap is of the
  likeliest of them.
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


def lower_bounds(logits: Alphas, limits: Limits) -> dict[str, float]:
  """Expected costs that are lower bounds: of those that are a maximum."""
  probs = {name: jax.nn.softmax(row) for name, row in logits.items()}
  return {c.name: float(c(probs)) for c in limits if c.reduction == 'max'}


def derived_from(space: Space) -> recorded.Kind:
  """What a record holds from which architectures of a space are derived.

  That is, the limits of the search and, for each choice, a number for each of
  its options.
  """
  of_resource = recorded.fields(limit=recorded.maybe(recorded.number))
  alphas = {
    choice: recorded.each(recorded.number, len(options))
    for choice, options in space.choices.items()
  }
  return recorded.fields(
    resources=recorded.values(of_resource, RESOURCES),
    alphas=recorded.fields(**alphas),
  )


def said(row: dict[str, Any], kept: dict[str, Any] | None) -> str:
  """A resource of the derived network, in words."""
  if kept is None:
    return f'{row["cost"]} (argmax: {row["argmax_cost"]})'
  over = kept['argmax_excess']
  against = f'over by {over:.15g}' if over else 'within'
  return (
    f'{row["cost"]} of {kept["limit"]:.15g}, {row["cost"] / kept["limit"]:.1%} '
    f'(argmax: {row["argmax_cost"]}, {against})'
  )


def lines(record: dict[str, Any]) -> list[str]:
  """What `architecture.json` says, for people."""
  rows, certificate = record['resources'], record['certificate']
  found = [f'architecture: {" ".join(record["choice"].values())}']
  found += [
    f'{name}: {said(row, certificate["kept"].get(name))}'
    for name, row in rows.items()
  ]
  found.append(
    f'log-probability: {certificate["log_prob"]:.2f} (most probable within the '
    f'limits, however little it uses: {certificate["unfilled_log_prob"]:.2f}; '
    f'of all: {certificate["argmax_log_prob"]:.2f})'
  )
  found += unproven(certificate) + unsteered(certificate)
  found += _of_finalists(record['finalists'])
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


def unproven(certificate: Mapping[str, Any]) -> list[str]:
  """Where the fill is not kept or a time limit ended the solver, in words.

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
  """Largest share of a limit that is used; None where there is no limit."""
  rows = map(_fields, certificate.get('kept', {}).values())
  return max((row['cost'] / row['limit'] for row in rows), default=None)


def _fields(row: Any) -> Mapping[str, Any]:
  return row if isinstance(row, Mapping) else row._asdict()


def unsteered(certificate: Mapping[str, Any]) -> list[str]:
  """Where an expectation was within a limit and the argmax over it, in words.

  Args:
    certificate: of `architecture.json`; older ones say nothing of it.
  """
  found = []
  for name, kept in certificate['kept'].items():
    expected = kept.get('expected_lower_bound', math.inf)
    if expected <= kept['limit'] < kept['argmax_cost']:
      found.append(
        f'{name}: the expectation of {expected:.15g} {kept["unit"]} is a lower '
        f'bound, within the limit at the end, while the argmax is over it: a '
        'constraint that acts above the limit did nothing there, and deriving '
        'alone keeps the limit'
      )
  return found


def _of_finalists(rows: list[dict[str, Any]]) -> list[str]:
  if not rows:
    return []
  accuracies = [row['valid_accuracy'] for row in rows]
  trained = [accuracy for accuracy in accuracies if accuracy is not None]
  first = accuracies[0]
  lines = [
    f'the best of {len(trained)} that were trained: it labels '
    f'{max(trained):.2%} of the images of the alphas right, the likeliest '
    + ('diverged' if first is None else f'{first:.2%}')
  ]
  if diverged := len(accuracies) - len(trained):
    lines.append(f'{diverged} finalists diverged and are left out')
  return lines
