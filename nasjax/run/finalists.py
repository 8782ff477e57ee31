"""The last stage of a search: trains a few probable architectures.

The alphas of a short search say little, and a supernet with shared weights
ranks networks of equal cost poorly. So this stage trains the best architecture
of each downsampling pattern within the limits, then more architectures with the
pattern of the best one: the next best by their scores. Neighbours of the most
accurate one so far were no better in NAS-Bench-Macro (`results/truth.md`).

With `finalist_halvings` the number of epochs grows while the number of
architectures shrinks (successive halving, Jamieson and Talwalkar 2016): the
first round is the one above with few epochs; of each round the better half is
trained from new weights for twice the epochs.

They train from scratch on the weight half, and the one with the best accuracy
on the alpha half is chosen. No other images are used.

finalists/N/         the files of `experiments.train`; its test images are the
                     alpha half
finalists/N_E/       the same, in a later round of E epochs
"""

import dataclasses
import itertools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

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


class Round(NamedTuple):
  """Architectures that are trained for equally many epochs.

  Attributes:
    epochs: of each training.
    number: of architectures, at most.
  """

  epochs: int
  number: int


def rounds(config: SearchConfig) -> list[Round]:
  """The rounds of a search's finalists; one without `finalist_halvings`.

  Example:
    >>> config = SearchConfig(
    ...   finalists=8, finalist_epochs=14, finalist_halvings=2
    ... )
    >>> [tuple(r) for r in rounds(config)]
    [(4, 8), (7, 4), (14, 2)]
  """
  halvings = config.finalist_halvings or 0
  return [
    Round(
      -(-config.finalist_epochs // 2 ** (halvings - i)),
      -(-config.finalists // 2**i),
    )
    for i in range(halvings + 1)
  ]


def images_of(config: SearchConfig, networks: int, images: int) -> int:
  """Number of images that all finalists see in all epochs.

  Args:
    config: configuration of the search.
    networks: number of finalists of the first round.
    images: number of training images of each.
  """
  return images * sum(
    r.epochs * min(r.number, networks) for r in rounds(config)
  )


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
    `log_prob` (nats), and of its longest training `epochs` and
    `valid_accuracy` (0 to 1; None if it diverged). With one finalist, nothing
    is trained and the list is empty.

  Raises:
    InputError: no architecture satisfies the limits.
    DivergedError: all trainings of a round diverged.
  """
  config, space, limits = inputs.config, inputs.space, inputs.limits
  if config.finalists == 1:
    return derive.within(space, logits, limits, fill=config.fill), []
  first, *later = rounds(config)
  accuracy = _trained_by(inputs, first, workdir)
  accuracies = _candidates(inputs, logits, accuracy)
  if len(accuracies) < config.finalists:
    progress.note(
      f'finalists={config.finalists}: {len(accuracies)} architectures keep the '
      f'limits and use fill={config.fill:g} of one, and are trained'
    )
  records = {
    a: {
      'choice': a.choice,
      'log_prob': derive.log_prob(a, logits),
      'epochs': first.epochs,
      'valid_accuracy': value,  # None where the training diverged.
    }
    for a, value in accuracies.items()
  }
  best = _best(accuracies)
  for following in later:
    order = sorted(accuracies, key=lambda a: -_worth(accuracies[a]))
    accuracy = _trained_by(inputs, following, workdir, list(records))
    accuracies = {a: accuracy(a) for a in order[: following.number]}
    best = _best(accuracies)
    for a, value in accuracies.items():
      records[a] |= {'epochs': following.epochs, 'valid_accuracy': value}
  return best, list(records.values())


def _candidates(
  inputs: Inputs,
  logits: Alphas,
  accuracy: Callable[[Architecture], float | None],
) -> dict[Architecture, float | None]:
  """Architectures to their accuracies, in the order of their trainings."""
  config, space, limits = inputs.config, inputs.space, inputs.limits
  number, fill = config.finalists, config.fill
  leaders = derive.leaders(space, logits, limits, fill=fill)[:number]
  found = {a: accuracy(a) for a in leaders}
  following = derive.likeliest(
    space, logits, limits, number, like=_best(found), fill=fill
  )
  more = [a for a in following if a not in found]
  return found | {a: accuracy(a) for a in more[: number - len(found)]}


def _worth(accuracy: float | None) -> float:
  return -1.0 if accuracy is None else accuracy


def _best(accuracies: Mapping[Architecture, float | None]) -> Architecture:
  """The most accurate; ties go to the first.

  Raises:
    DivergedError: all trainings diverged.
  """
  best = max(accuracies, key=lambda a: _worth(accuracies[a]))
  if accuracies[best] is None:
    raise DivergedError(
      f'no finalist is left: each of {len(accuracies)} trained ones diverged; '
      'see diverged.json in the folders of finalists/'
    )
  return best


def _trained_by(
  inputs: Inputs,
  own: Round,
  workdir: pathlib.Path | None,
  numbered: Sequence[Architecture] = (),
) -> Callable[[Architecture], float | None]:
  """Makes `architecture -> accuracy`, by training; None if it diverged.

  Args:
    inputs: inputs of the search.
    own: the round.
    workdir: workdir of the search; None writes nothing.
    numbered: in a later round, all architectures of the first one; their
      places name the folders.
  """
  config = inputs.config
  halves = holdout.as_training(inputs.dataset, inputs.train, inputs.valid)
  recipe = dataclasses.replace(config.finalist_recipe, epochs=own.epochs)
  batches = datasets.batches_for(recipe, halves)
  count = itertools.count(1)

  def accuracy(a: Architecture) -> float | None:
    i = next(count)
    name = str(i)
    said = f'finalist {i} of {own.number}'
    if numbered:
      name = f'{numbered.index(a) + 1}_{own.epochs}'
      said += f', for {own.epochs} epochs'
    progress.note(said)
    folder = None
    if workdir is not None:
      folder = workdir / 'finalists' / name
      folder.mkdir(parents=True, exist_ok=True)
    try:
      trained = training.run(
        folder,
        a.space.fix(a),
        halves,
        batches,
        recipe,
        seed=config.seed,
        record={'name': f'finalist {name}'},
        among=a.space,
      )
    except DivergedError as e:
      progress.note(f'finalist {name}: {e}')
      return None
    return trained.test_accuracy

  return accuracy
