"""Checks of a supernet that need no trained network: does it rank?

A supernet is used to rank networks. Two properties can be tested without the
truth, and a supernet that lacks one of them does not rank: networks that cost
more should do better, over the whole space; and the effects of the options,
fitted to one half of the judged networks, should rank as those fitted to the
other half. Both are necessary; neither is sufficient.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from nasjax.errors import InputError
from nasjax.space import Choice

LEAST = 0.5  # Kendall's tau of the halves, by measurement.


class Gates(NamedTuple):
  """What the judged networks say of their supernet.

  Attributes:
    rises: Spearman's rank correlation of cost and accuracy (of cost and the
      negative loss), -1 to 1; it has to be positive.
    agree: Kendall's tau between the networks' order by the options' effects on
      the loss, fitted to each half of the networks, -1 to 1; it should be at
      least 0.5.
    networks: how many networks were ordered for `agree`.

  Example:
    >>> Gates(rises=0.4, agree=0.3, networks=200).failures()
    ['effects fitted to two halves of the judged networks order 200 networks \
differently: Kendall tau 0.30, at least 0.5 is wanted']
  """

  rises: float
  agree: float
  networks: int

  def failures(self) -> list[str]:
    """A line for each gate that is not passed; [] if the supernet may rank."""
    found = []
    if not self.rises > 0:
      found.append(
        'networks of the supernet that cost more are not better: Spearman '
        f'{self.rises:.2f}, above 0 is wanted'
      )
    if not self.agree >= LEAST:
      found.append(
        'effects fitted to two halves of the judged networks order '
        f'{self.networks} networks differently: Kendall tau {self.agree:.2f}, '
        f'at least {LEAST:g} is wanted'
      )
    return found


def gates(
  choices: Mapping[str, Choice],
  options: Mapping[str, np.ndarray],
  losses: np.ndarray,
  costs: np.ndarray,
  ordered: Mapping[str, np.ndarray] | None = None,
) -> Gates:
  """Tests a supernet by the losses of some of its networks.

  Args:
    choices: name to choice.
    options: name of a choice to `int[n, *shape]`, the judged networks.
    losses: `float[n]`, with the weights of the supernet, see
      `nasjax.search.Search.losses`.
    costs: `float[n]`, such as MACs.
    ordered: the networks that both halves order, such as those within a band of
      cost; None is the judged ones.

  Raises:
    InputError: fewer networks than options in one half, or a loss that is not
      finite.

  Example:
    >>> rng = np.random.default_rng(0)
    >>> choices = {name: Choice(('small', 'large')) for name in 'abc'}
    >>> options = {name: rng.integers(0, 2, 100) for name in choices}
    >>> size = sum(options.values())
    >>> found = gates(choices, options, losses=2.0 - size, costs=size)
    >>> round(found.rises, 2), found.agree > 0.5, found.failures()
    (1.0, True, [])
  """
  x, losses = one_hot(choices, options), np.asarray(losses, float)
  half = len(x) // 2
  if half < x.shape[1]:
    raise InputError(
      f'{len(x)} networks were judged, for {x.shape[1]} options; at least '
      f'{2 * x.shape[1]} are needed, as many as options in each half'
    )
  if not np.isfinite(losses).all():
    raise InputError('the loss of a judged network is not finite')
  from scipy import stats  # Takes half a second to import.

  among = x if ordered is None else one_hot(choices, ordered)
  first, second = (
    among @ regression(x[part], losses[part])
    for part in (slice(half), slice(half, None))
  )
  return Gates(
    float(stats.spearmanr(costs, -losses).statistic),
    float(stats.kendalltau(first, second).statistic),
    len(among),
  )


def one_hot(
  choices: Mapping[str, Choice], options: Mapping[str, np.ndarray]
) -> np.ndarray:
  """The options of networks side by side, `float[n, all options]`.

  Example:
    >>> one_hot({'a': Choice(('x', 'y'))}, {'a': np.array([1, 0])}).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
  """
  columns = [
    np.eye(len(choice))[np.asarray(options[name])].reshape(
      len(options[name]), -1
    )
    for name, choice in choices.items()
  ]
  return np.concatenate(columns, 1)


def regression(
  x: np.ndarray, losses: np.ndarray, ridge: float = 1.0
) -> np.ndarray:
  """The effect of each column on the loss, `float[columns]`.

  Args:
    x: `float[n, columns]`, as `one_hot` makes them.
    losses: `float[n]`.
    ridge: weight of the penalty, in networks; positive, since the options of a
      choice sum to 1.

  Example:
    >>> x = np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> regression(x, np.array([3.0, 1.0]), ridge=1e-6).round(3).tolist()
    [-1.0, 1.0]
  """
  own = x - x.mean(0)
  return np.linalg.solve(
    own.T @ own + ridge * np.eye(x.shape[1]), own.T @ (losses - losses.mean())
  )
