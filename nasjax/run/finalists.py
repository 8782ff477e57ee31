"""The last stage of a search: trains a few probable architectures.

The alphas of a short search say little, and a supernet with shared weights
ranks networks of equal cost poorly. So this stage trains the best architecture
of each downsampling pattern within the limits, then more architectures with the
pattern of the best one: the next best by their scores, or samples of the
probabilities of a mixture. They train from scratch on the weight half, and
the one with the best accuracy on the alpha half is chosen. No other images are
used.

finalists/N/      the files of `experiments.train`; its test images are the
                  alpha half
"""

import itertools
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from nasjax import derive
from nasjax.derive.problem import Alphas
from nasjax.errors import DivergedError
from nasjax.run import (
  datasets,
  holdout,
  progress,
  training,
)
from nasjax.run.config import SearchConfig
from nasjax.run.inputs import Inputs
from nasjax.space import Architecture


def images_of(config: SearchConfig, networks: int, images: int) -> int:
  """Number of images that all finalists see in all epochs.

  Args:
    config: configuration of the search.
    networks: number of trained finalists.
    images: number of training images of each.
  """
  return networks * config.finalist_epochs * images


def chosen(
  inputs: Inputs,
  logits: Alphas,
  workdir: pathlib.Path | None,
) -> tuple[Architecture, list[dict[str, Any]]]:
  """The best of the finalists; finished trainings are read.

  Args:
    inputs: inputs of the search; test images are ignored.
    logits: logits of the distribution at the end of the search, name of a
      choice to `f32[*shape, options]`.
    workdir: workdir of the search; None writes nothing.

  Returns:
    The chosen architecture, and a record for each finalist: `choice`,
    `log_prob` (nats) and `valid_accuracy` (0 to 1; None if its training
    diverged). With one finalist, nothing is trained and the list is empty.

  Raises:
    InputError: no architecture satisfies the limits.
    DivergedError: all trainings diverged.
  """
  config, space, limits = inputs.config, inputs.space, inputs.limits
  number, fill = config.finalists, config.fill
  if number == 1:
    return derive.within(space, logits, limits, fill=fill), []
  accuracy = _trained_by(inputs, workdir)
  found = derive.leaders(space, logits, limits, fill=fill)[:number]
  accuracies = [accuracy(a) for a in found]
  best = found[_best(accuracies)]
  found += _more(inputs, logits, best, found)
  if len(found) < number:
    progress.note(
      f'finalists={number}: {len(found)} architectures keep the limits and '
      f'use fill={fill:g} of one, and are trained'
    )
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


def _more(
  inputs: Inputs,
  logits: Alphas,
  best: Architecture,
  found: list[Architecture],
) -> list[Architecture]:
  """Further finalists with the drawn option of the best one so far.

  Probabilities are sampled. Scores of contributions are no log-probabilities:
  their scale says nothing of how sure they are, so the next best ones follow.
  """
  config, limits = inputs.config, inputs.limits
  more = config.finalists - len(found)
  if not more:
    return []
  if config.sampling is None:
    rng = np.random.default_rng(config.seed)
    return derive.finalists(best, logits, limits, more, rng, fill=config.fill)
  following = derive.likeliest(
    inputs.space, logits, limits, more + 1, like=best, fill=config.fill
  )
  return [a for a in following if a not in found][:more]


def _best(accuracies: list[float | None]) -> int:
  """Index of the highest accuracy; ties go to the first.

  Raises:
    DivergedError: all trainings diverged.
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
  """Makes `architecture -> accuracy`, by training; None if it diverged."""
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
