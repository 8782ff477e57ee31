"""How many steps a search takes, where its configuration does not say."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from nasjax.search.contributions import Sampling
from nasjax.space import Choice

EPOCHS = 12
MIXTURE_STEPS = 240


class Steps(NamedTuple):
  """Steps of a search.

  Attributes:
    warmup: steps in which only weights are trained.
    all: steps in all.
  """

  warmup: int
  all: int


def steps(
  choices: Mapping[str, Choice],
  images: int,
  batch_size: int,
  sampling: Sampling | None,
  given: int | None = None,
  warmup: int | None = None,
) -> Steps:
  """The steps of a search, by its space and its images.

  With `sampling` each weight step trains a single network. The warm-up is long
  enough that each option of each choice is trained on `EPOCHS` times as many
  images as there are: `EPOCHS * options * images / batch_size` steps, for the
  choice with the most options. Then alphas take as many steps as fill the
  memory of judged networks once. A mixture trains all options in each step and
  takes `MIXTURE_STEPS`, a third of them warm-up.

  Args:
    choices: name to choice.
    images: images of the weights.
    batch_size: images per step.
    sampling: how networks are judged; None for a mixture.
    given: steps in all, if they are fixed.
    warmup: steps of the warm-up, if they are fixed.

  Example:
    >>> choices = {'op': Choice(('conv', 'skip', 'pool'))}
    >>> steps(choices, images=6400, batch_size=64, sampling=Sampling())
    Steps(warmup=3600, all=3700)
    >>> steps(choices, images=6400, batch_size=64, sampling=None)
    Steps(warmup=80, all=240)
  """
  if given is not None and warmup is not None:
    return Steps(warmup, given)
  if sampling is None:
    if given is None:
      given = MIXTURE_STEPS if warmup is None else 3 * max(1, warmup)
    return Steps(given // 3 if warmup is None else warmup, given)
  learning = math.ceil(sampling.memory / sampling.per_step)
  if given is not None:
    return Steps(given - min(learning, max(1, given // 3)), given)
  if warmup is None:
    options = max(map(len, choices.values()), default=1)
    warmup = math.ceil(EPOCHS * options * images / batch_size)
  return Steps(warmup, warmup + learning)


def free_options(choices: Mapping[str, Choice]) -> int:
  """How many numbers a regression on the options has to find.

  Example:
    >>> free_options({'edge': Choice(('a', 'b', 'c'), (4,))})
    8
  """
  return sum(math.prod(c.shape) * (len(c) - 1) for c in choices.values())


def networks(choices: Mapping[str, Choice]) -> int:
  """How many networks are judged: 10 per free option, at least 800.

  Example:
    >>> networks({'edge': Choice(('a', 'b', 'c'), (100,))})
    2000
  """
  return max(Sampling().memory, 10 * free_options(choices))


class Images(NamedTuple):
  """Images that a search computes.

  Attributes:
    trained: of batches that a gradient is taken of.
    judged: on which single networks are judged, without a gradient of weights.
  """

  trained: int
  judged: int


def images(
  taken: Steps, batch_size: int, sampling: Sampling | None, *, frozen: bool
) -> Images:
  """The images of a search of so many steps.

  Args:
    taken: steps that it took, or will take.
    batch_size: images per step.
    sampling: how networks are judged; None for a mixture.
    frozen: whether weights stay after the warm-up.

  Example:
    >>> images(Steps(80, 240), 32, None, frozen=False)
    Images(trained=12800, judged=0)
    >>> images(Steps(80, 82), 32, Sampling(images=50), frozen=True)
    Images(trained=2560, judged=800)
  """
  alpha_steps = max(0, taken.all - taken.warmup)
  weight_steps = min(taken.warmup, taken.all) if frozen else taken.all
  if sampling is None:
    return Images(batch_size * (weight_steps + alpha_steps), 0)
  judged = alpha_steps * sampling.per_step * sampling.images
  return Images(batch_size * weight_steps, judged)
