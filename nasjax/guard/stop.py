"""When to stop a search early, and why: rules fed by its metrics.

A rule is a pair of pure functions, as a constraint is, and one that judges. Its
state is a pytree of arrays, saved beside the search's: a resumed search stops
where it would have. It runs on the host, between steps.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from nasjax.space import Alphas

State = Any  # A pytree of arrays.


class Verdict(NamedTuple):
  """That a search is to stop.

  Attributes:
    reason: in words.
    alphas: what to derive from; None: those of the last step.
  """

  reason: str
  alphas: Alphas | None = None


class Rule(NamedTuple):
  """Pure functions of one rule.

  Attributes:
    init: `(alphas) -> state`; of the alphas only the shapes matter.
    update: `(metrics, alphas, state) -> state`, after each step of the alphas.
    verdict: `(state) -> Verdict`, or None where the search is to go on.
  """

  init: Callable[[Alphas], State]
  update: Callable[[Mapping[str, Any], Alphas, State], State]
  verdict: Callable[[State], Verdict | None]


def any_of(*rules: Rule) -> Rule:
  """Stops where one of them does, the first that does; without any, never.

  Example:
    >>> rule = any_of(too_many_skips(2, patience=1), too_many_skips(9))
    >>> state = rule.update({'skips': 2}, {}, rule.init({}))
    >>> rule.verdict(state).reason
    'skips won 2 of the choices, for 1 steps in a row'
    >>> any_of().verdict(any_of().init({})) is None
    True
  """

  def init(alphas):
    return tuple(rule.init(alphas) for rule in rules)

  def update(metrics, alphas, state):
    pairs = zip(rules, state, strict=True)
    return tuple(rule.update(metrics, alphas, own) for rule, own in pairs)

  def verdict(state):
    pairs = zip(rules, state, strict=True)
    found = (rule.verdict(own) for rule, own in pairs)
    return next((v for v in found if v is not None), None)

  return Rule(init, update, verdict)


class Skips(NamedTuple):
  """State of `too_many_skips`.

  Attributes:
    count: `i32[]`, skips at the last step.
    steps: `i32[]`, steps in a row in which they were too many.
  """

  count: np.ndarray
  steps: np.ndarray


def too_many_skips(limit: int, patience: int = 10) -> Rule:
  """Stops where skips win in `limit` choices or more.

  Liang et al. 2019, DARTS+, stop at two skips in a cell and look once an epoch.
  Between steps the most probable option of an undecided choice changes back and
  forth, hence the patience.

  Args:
    limit: as many are too many; at least 1.
    patience: for so many steps in a row, at least 1.

  Returns:
    A rule that looks at the metric `skips`.

  Raises:
    ValueError: a number is below 1.
  """
  if limit < 1 or patience < 1:
    raise ValueError(
      f'too_many_skips requires both numbers >= 1, got {limit=}, {patience=}.'
    )

  def init(alphas):
    del alphas
    return Skips(np.array(0, np.int32), np.array(0, np.int32))

  def update(metrics, alphas, state):
    del alphas
    count = np.asarray(metrics['skips'], np.int32)
    steps = int(state.steps) + 1 if count >= limit else 0
    return Skips(count, np.array(steps, np.int32))

  def verdict(state):
    if state.steps < patience:
      return None
    return Verdict(
      f'skips won {int(state.count)} of the choices, for {int(state.steps)} '
      'steps in a row'
    )

  return Rule(init, update, verdict)


class Curvature(NamedTuple):
  """State of `rising_curvature`, oldest first.

  Attributes:
    eigenvalues: `f32[window + apart]` the last ones; NaN before the first.
    alphas: those of the last measurements, `f32[apart + 1, ...]` each.
  """

  eigenvalues: np.ndarray
  alphas: Alphas


def rising_curvature(
  ratio: float = 0.75, window: int = 5, apart: int = 4
) -> Rule:
  """Stops where the largest eigenvalue has grown, and goes back to before.

  With m(t) the mean of the last `window` measurements at measurement t, it
  stops where `m(t - apart) / m(t) < ratio`, and what is derived is the
  architecture of measurement `t - apart` (Zela et al. 2020, R-DARTS, section
  4.3, who measure once an epoch). Where any of these measurements is not
  positive it goes on: the ratio is meant for a curvature that grows.

  Args:
    ratio: between 0 and 1; the smaller, the more growth is let pass.
    window: measurements that are averaged, at least 1.
    apart: measurements between the two means, at least 1.

  Returns:
    A rule that looks at the metric `eigenvalue` in those steps that have it.
    It never stops before `window + apart` measurements.

  Raises:
    ValueError: a number is out of its range.

  Example:
    >>> rule = rising_curvature(window=1, apart=1)
    >>> state = rule.init({})
    >>> for value in (1.0, 1.2, 1.7):
    ...   state = rule.update({'eigenvalue': value}, {}, state)
    ...   print(rule.verdict(state) is not None)
    False
    False
    True
    >>> rule.verdict(state).reason
    'the largest eigenvalue rose from 1.2 to 1.7 in 1 measurements'
  """
  if not 0 < ratio < 1 or window < 1 or apart < 1:
    raise ValueError(
      'rising_curvature requires 0 < ratio < 1, window >= 1, apart >= 1, got '
      f'{ratio=}, {window=}, {apart=}.'
    )

  def init(alphas):
    return Curvature(
      np.full(window + apart, np.nan, np.float32),
      jax.tree.map(lambda a: np.stack([np.asarray(a)] * (apart + 1)), alphas),
    )

  def update(metrics, alphas, state):
    if 'eigenvalue' not in metrics:
      return state

    def push(kept, new):
      return np.concatenate([kept[1:], np.asarray(new, kept.dtype)[None]])

    return Curvature(
      push(np.asarray(state.eigenvalues), metrics['eigenvalue']),
      jax.tree.map(
        lambda a, new: push(np.asarray(a), new), state.alphas, alphas
      ),
    )

  def verdict(state):
    values = np.asarray(state.eigenvalues)
    if not (values > 0).all():  # Or there are not enough yet: NaN.
      return None
    before, now = values[:window].mean(), values[-window:].mean()
    if not before < ratio * now:
      return None
    return Verdict(
      f'the largest eigenvalue rose from {before:.3g} to {now:.3g} in {apart} '
      'measurements',
      jax.tree.map(lambda a: np.asarray(a)[0], state.alphas),
    )

  return Rule(init, update, verdict)
