"""What a search can reach at best, by its parts, in NAS-Bench-Macro.

  python -m benchmarks.truth.floors

prints mean regrets over the held-out limits on MACs of searches that know the
truth, but for one part: scores that add up over the slots, and finalists that
are chosen by one test. What a search has beyond these is lost elsewhere.
"""

from collections.abc import Sequence

import numpy as np
from absl import app

from benchmarks.truth import table
from benchmarks.truth.given import FILL, FINALISTS, finalists
from benchmarks.truth.rank import BAND, additive


def additive_scores(limits: dict[str, float]) -> list[int]:
  """Networks in the band, ranked by an additive fit to the true accuracies."""
  truth = table.load()
  band = truth.keeping(limits, BAND)
  rows = truth.keeping(limits, FILL)
  fitted = additive(band, truth.accuracy[band], rows)
  return rows[np.argsort(-fitted, kind='stable')].tolist()


def true_scores(limits: dict[str, float]) -> list[int]:
  """Networks in the band, ranked by their true accuracies."""
  truth = table.load()
  rows = truth.keeping(limits, FILL)
  return rows[np.argsort(-truth.accuracy[rows], kind='stable')].tolist()


def report(quantiles: Sequence[float] = table.HELD_OUT) -> str:
  """A Markdown table of regrets: the first, of 8 finalists, of the first 8."""
  truth = table.load()
  lines = [
    '| what is known | regret | of 8 finalists | of the first 8 |',
    '|---|---:|---:|---:|',
  ]
  for name, scores in (
    ('the best additive scores', additive_scores),
    ('all accuracies', true_scores),
  ):
    found = []
    for q in quantiles:
      limits = {'macs': truth.quantile(q)}
      ranked = scores(limits)
      rows = (
        ranked[0],
        truth.chosen(finalists(ranked)),
        truth.chosen(ranked[:FINALISTS]),
      )
      found.append([truth.regret(row, limits) for row in rows])
    cells = ' | '.join(f'{mean:.2f}' for mean in np.mean(found, 0))
    lines.append(f'| {name} | {cells} |')
  return '\n'.join(lines)


def main(argv: Sequence[str]) -> None:
  del argv
  print(report())


if __name__ == '__main__':
  app.run(main)
