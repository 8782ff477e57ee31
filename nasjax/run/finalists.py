"""The last stage of a search: trains a few likely architectures.

What the alphas of a short search know is little, and a shared supernet ranks
networks that cost the same poorly. So the likeliest one of each pattern within
the limits is trained by itself, on the images of the weights, then others near
the best of these, and the one is taken that labels most images of the alphas
right. No other image has a part in it.

finalists/N/      as `experiments.train` leaves it; its test images are those of
                  the alphas
"""

import itertools
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from nasjax import derive
from nasjax.errors import DivergedError
from nasjax.run import (
  datasets,
  holdout,
  progress,
  training,
)
from nasjax.run.config import SearchConfig
from nasjax.run.inputs import Inputs
from nasjax.space import Alphas, Architecture


def images_of(config: SearchConfig, networks: int, images: int) -> int:
  """Number of images that finalists see in all epochs together.

  Args:
    config: of a search.
    networks: how many are trained.
    images: that each is trained on.
  """
  return networks * config.finalist_epochs * images


def chosen(
  inputs: Inputs,
  logits: Alphas,
  workdir: pathlib.Path | None,
) -> tuple[Architecture, list[dict[str, Any]]]:
  """The best of the finalists; finished trainings are read.

  Args:
    inputs: of the search; test images are not looked at.
    logits: logits of the distribution at the end of the search.
    workdir: of the search; None writes nothing.

  Returns:
    The architecture, and of each finalist its choice, log-probability and
    accuracy; nothing of a single one, which is not trained.
  """
  config, space, limits = inputs.config, inputs.space, inputs.limits
  number, fill = config.finalists, config.fill
  if number == 1:
    return derive.within(space, logits, limits, fill=fill), []
  accuracy = _trained_by(inputs, workdir)
  found = derive.leaders(space, logits, limits, fill=fill)[:number]
  accuracies = [accuracy(a) for a in found]
  best = found[_best(accuracies)]
  rng = np.random.default_rng(config.seed)
  more = number - len(found)
  found += derive.finalists(best, logits, limits, more, rng, fill=fill)
  accuracies += [accuracy(a) for a in found[len(accuracies) :]]
  records = [
    {
      'choice': a.choice,
      'log_prob': derive.log_prob(a, logits),
      'valid_accuracy': value,  # None where the training diverged.
    }
    for a, value in zip(found, accuracies, strict=True)
  ]
  return found[_best(accuracies)], records


def _best(accuracies: list[float | None]) -> int:
  """Index of the highest accuracy; of equal ones the more probable.

  Raises:
    DivergedError: there is none, as all trainings diverged.
  """
  trained = [-1.0 if value is None else value for value in accuracies]
  if max(trained) < 0:
    raise DivergedError(
      f'no finalist is left: each of {len(trained)} trained ones diverged; see '
      'finalists/1/diverged.json'
    )
  return int(np.argmax(trained))


def _trained_by(
  inputs: Inputs, workdir: pathlib.Path | None
) -> Callable[[Architecture], float | None]:
  """Trains one after the other; accuracies, None where one diverged."""
  config = inputs.config
  halves = holdout.as_training(inputs.dataset, inputs.train, inputs.valid)
  recipe = config.finalist_recipe
  batches = datasets.batches_for(recipe, halves)
  count = itertools.count(1)

  def accuracy(a: Architecture) -> float | None:
    i = next(count)
    progress.note(f'finalist {i} of {config.finalists}')
    folder = None
    if workdir is not None:
      folder = workdir / 'finalists' / str(i)
      folder.mkdir(parents=True, exist_ok=True)
    try:
      trained = training.run(
        folder,
        a.space.fix(a),
        halves,
        batches,
        recipe,
        seed=config.seed,
        record={'name': f'finalist {i}'},
        among=a.space,
      )
    except DivergedError as e:
      progress.note(f'finalist {i}: {e}')
      return None
    return trained.test_accuracy

  return accuracy
