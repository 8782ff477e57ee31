"""The last stage of a search: a few likely architectures, trained.

What the alphas of a short search know is little, and a shared supernet ranks
networks that cost the same poorly. So the likeliest one of each pattern within
the limits is trained by itself, on the images of the weights, then others near
the best of these, and the one is taken that labels most images of the alphas
right. No other image has a part in it.

finalists/N/      as `experiments.train` leaves it; its test images are those of
                  the alphas
"""

import dataclasses
import itertools
import pathlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from experiments import cli, constraints, searching, training
from experiments import recipe as recipes
from nasjax import data, derive
from nasjax.errors import DivergedError, InputError
from nasjax.space import Alphas, Architecture, fix

OPTIONS = {
  'finalists': (
    1,
    'likely architectures that are trained, to take the one that is best on '
    'the images of the alphas; 1: the most probable, and none is trained',
  ),
  'finalist_epochs': (14, 'of each of these trainings'),
}


def check(config: Mapping[str, Any]) -> None:
  """Raises InputError where there can be no such stage."""
  own = {name: config[name] for name in OPTIONS}
  cli.check_least(1, **own)
  if own['finalists'] > 1 and config['stream']:
    raise InputError(
      f'--finalists={own["finalists"]} does not go with --stream: finalists '
      'are trained on decoded images; leave one of them out'
    )
  if own['finalists'] == 1:
    cli.refuse_ignored(config, OPTIONS, ['finalist_epochs'], 'by --finalists=1')


def images_of(config: Mapping[str, Any], networks: int, images: int) -> int:
  """Images that so many of them see in all, each as often as there are epochs.

  Args:
    config: of a search.
    networks: how many are trained.
    images: that each is trained on.
  """
  return networks * config['finalist_epochs'] * images


def chosen(
  config: Mapping[str, Any],
  inputs: searching.Inputs,
  logits: Alphas,
  limits: constraints.Limits,
  workdir: pathlib.Path,
) -> tuple[Architecture, list[dict[str, Any]]]:
  """The best of the finalists; what is trained of them already is read.

  Args:
    config: a value for every option of `experiments.search`.
    inputs: what it names; test images are not looked at.
    logits: what is derived from.
    limits: of the search.
    workdir: of the search.

  Returns:
    The architecture, and of each finalist its choice, log-probability and
    accuracy; nothing of a single one, which is not trained.
  """
  space, number = inputs.space, config['finalists']
  if number == 1:
    return derive.within(space, logits, limits, fill=config['fill']), []
  fill = config['fill']
  accuracy = _trained_by(config, inputs, workdir)
  found = derive.leaders(space, logits, limits, fill=fill)[:number]
  accuracies = [accuracy(a) for a in found]
  best = found[_best(accuracies)]
  rng = np.random.default_rng(config['seed'])
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
  """Index of the highest accuracy; of equal ones the first, the likelier.

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


def recipe_of(
  config: Mapping[str, Any], dataset: data.Dataset
) -> tuple[recipes.Recipe, data.Batches]:
  """How finalists are trained, and their batches.

  Args:
    config: of a search.
    dataset: its training images are those that finalists are trained on.

  Raises:
    InputError: it does not go with so many images.
  """
  recipe = recipes.Recipe(
    epochs=config['finalist_epochs'],
    batch_size=config['batch_size'],
    dtype=config['dtype'],
    remat=config['remat'],
    skip_nonfinite=config['skip_nonfinite'],
  )
  return recipe, recipes.batches_for(recipe, dataset)


def _trained_by(
  config, inputs, workdir
) -> Callable[[Architecture], float | None]:
  """Trains one after the other; accuracies, None where one diverged."""
  halves = dataclasses.replace(
    inputs.dataset, train=inputs.train, test=inputs.valid
  )
  recipe, batches = recipe_of(config, halves)
  count = itertools.count(1)

  def accuracy(a: Architecture) -> float | None:
    i = next(count)
    print(f'finalist {i} of {config["finalists"]}', file=sys.stderr)
    folder = workdir / 'finalists' / str(i)
    folder.mkdir(parents=True, exist_ok=True)
    try:
      result = training.run(
        folder,
        fix(a.space, a),
        halves,
        batches,
        recipe,
        seed=config['seed'],
        record={'name': f'finalist {i}'},
        among=a.space,
      )
    except DivergedError as e:
      print(f'finalist {i}: {e}', file=sys.stderr)
      return None
    return result['test_accuracy']

  return accuracy
