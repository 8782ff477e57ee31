"""What a search came to: its record, and in words."""

import pathlib
from typing import Any

from experiments import constraints, loop, names
from nasjax import derive, report
from nasjax.space import Alphas, Architecture, argmax, fix


def describe(limits: constraints.Limits, metrics: dict[str, Any]) -> str:
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
  limits: constraints.Limits,
) -> dict[str, dict[str, Any]]:
  """What the derived network costs in every resource, and under which limit.

  Args:
    architecture: what was derived.
    plain: the most probable one, limits aside.
    limits: of any costs of their space.
  """
  # Two networks are traced, not their space: widths multiply in that one.
  derived, probable = (fix(a.space, a) for a in (architecture, plain))
  limit = {c.name: most for c, most in limits.items()}
  found = {}
  for name, make in names.COSTS.items():
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
  limits: constraints.Limits,
  **record: Any,
) -> None:
  """Writes `architecture.json`, with the record of where it came from.

  What it calls alphas are `logits`: from them it was derived, and from them
  others are for other limits.
  """
  plain = argmax(architecture.space, logits)
  certificate = derive.certificate(architecture, logits, limits)
  kept = {name: row._asdict() for name, row in certificate.kept.items()}
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
    versions=loop.versions(),
    alphas=loop.to_host(logits),
    **record,
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
