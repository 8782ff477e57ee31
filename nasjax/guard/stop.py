"""Rules that stop a search early, from its metrics.

A rule is three pure functions: `init`, `update` and `verdict`. Its state is a
pytree of arrays, saved beside that of the search, so a resumed search stops at
the same step. It runs on the host, between steps, and waits for the metrics
that it reads.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from nasjax.space import Alphas

State = Any  # A pytree of arrays.


class Verdict(NamedTuple):
  """The decision to stop a search.

  Attributes:
    reason: text for the record.
    alphas: alphas to derive from; None: those of the last step.
    step: step of these alphas; None: the last one.
  """

  reason: str
  alphas: Alphas | None = None
  step: int | None = None


class Rule(NamedTuple):
  """Pure functions of one rule.

  Attributes:
    init: `(alphas) -> state`; of the alphas only the shapes matter.
    update: `(step, metrics, alphas, state) -> state`, after each step of the
      alphas.
    verdict: `(state) -> Verdict`, or None where the search is to go on.

  Example:
    >>> stop_at_3 = Rule(
    ...   init=lambda alphas: 0,
    ...   update=lambda step, metrics, alphas, state: step,
    ...   verdict=lambda state: Verdict('3 steps') if state >= 3 else None)
    >>> stop_at_3.verdict(2), stop_at_3.verdict(3).reason
    (None, '3 steps')
  """

  init: Callable[[Alphas], State]
  update: Callable[[int, Mapping[str, Any], Alphas, State], State]
  verdict: Callable[[State], Verdict | None]


def any_of(*rules: Rule) -> Rule:
  """A rule that stops where the first of several rules does.

  Without any rule it never stops.

  Example:
    >>> rule = any_of(too_many_skips(2, patience=1), too_many_skips(9))
    >>> state = rule.update(1, {'skips': 2}, {}, rule.init({}))
    >>> rule.verdict(state).reason
    'skips won 2 of the choices, for 1 steps in a row'
    >>> any_of().verdict(any_of().init({})) is None
    True
  """

  def init(alphas):
    return tuple(rule.init(alphas) for rule in rules)

  def update(step, metrics, alphas, state):
    pairs = zip(rules, state, strict=True)
    return tuple(rule.update(step, metrics, alphas, own) for rule, own in pairs)

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
    limit: number of skips that stops the search, at least 1.
    patience: number of consecutive steps with that many skips, at least 1.

  Returns:
    A rule that looks at the metric `skips`.

  Raises:
    ValueError: a number is below 1.

  Example:
    >>> rule = too_many_skips(limit=2, patience=2)
    >>> state = rule.update(1, {'skips': 2}, {}, rule.init({}))
    >>> rule.verdict(state) is None
    True
    >>> rule.verdict(rule.update(2, {'skips': 3}, {}, state)).reason
    'skips won 3 of the choices, for 2 steps in a row'
  """
  if limit < 1 or patience < 1:
    raise ValueError(
      f'too_many_skips requires both numbers >= 1, got {limit=}, {patience=}.'
    )

  def init(alphas):
    del alphas
    return Skips(np.array(0, np.int32), np.array(0, np.int32))

  def update(step, metrics, alphas, state):
    del step, alphas
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
    steps: `i32[apart + window // 2 + 1]`, of the last measurements.
    alphas: those of the same, `f32[apart + window // 2 + 1, ...]` each.
  """

  eigenvalues: np.ndarray
  steps: np.ndarray
  alphas: Alphas


def rising_curvature(
  ratio: float = 0.75, window: int = 5, apart: int = 4
) -> Rule:
  """Stops once the largest eigenvalue has grown; returns to earlier alphas.

  With m(i) the mean of the `window` measurements around measurement i, it stops
  where `m(i - apart) / m(i) < ratio`, and the search returns to the alphas of
  measurement `i - apart`, the middle of the older ones. As m(i) is known
  `window // 2` measurements after i, that is `apart + window // 2` back. Where
  a mean is not positive it goes on: the ratio is of a curvature that grows.

  So have it Zela et al. 2020, R-DARTS, section 4.3, who measure once an epoch:
  in the paper `window` and `apart` are both 5, and `ratio` is 0.75; in their
  code `apart` is 4, it is `m(i) / m(i - apart)` that must exceed 1.3 (a ratio
  of 0.77), and it goes back to epoch 10 at the earliest. The defaults are the
  paper's ratio and the code's `apart`. Ours are that there is no earliest
  measurement, as a warm-up is not measured at all, and what is said of signs.

  Args:
    ratio: between 0 and 1; the smaller, the more growth is let pass.
    window: measurements that are averaged, at least 1. The middle
      of an even number is the earlier of two.
    apart: measurements between the two means, at least 1.

  Returns:
    A rule that looks at the metric `eigenvalue` in those steps that have it.
    It never stops before `window + apart` measurements.

  Raises:
    ValueError: a number is out of its range.

  Example:
    >>> rule = rising_curvature(window=1, apart=1)
    >>> state = rule.init({})
    >>> for step, value in enumerate((1.0, 1.2, 1.7)):
    ...   state = rule.update(step, {'eigenvalue': value}, {}, state)
    ...   print(rule.verdict(state) is not None)
    False
    False
    True
    >>> verdict = rule.verdict(state)
    >>> verdict.reason, verdict.step
    ('the largest eigenvalue rose from 1.2 to 1.7 in 1 measurements', 1)
  """
  if not 0 < ratio < 1 or window < 1 or apart < 1:
    raise ValueError(
      'rising_curvature requires 0 < ratio < 1, window >= 1, apart >= 1, got '
      f'{ratio=}, {window=}, {apart=}.'
    )

  back = apart + window // 2

  def init(alphas):
    return Curvature(
      np.full(window + apart, np.nan, np.float32),
      np.zeros(back + 1, np.int32),
      jax.tree.map(lambda a: np.stack([np.asarray(a)] * (back + 1)), alphas),
    )

  def update(step, metrics, alphas, state):
    if 'eigenvalue' not in metrics:
      return state

    def push(kept, new):
      return np.concatenate([kept[1:], np.asarray(new, kept.dtype)[None]])

    return Curvature(
      push(np.asarray(state.eigenvalues), metrics['eigenvalue']),
      push(np.asarray(state.steps), step),
      jax.tree.map(
        lambda a, new: push(np.asarray(a), new), state.alphas, alphas
      ),
    )

  def verdict(state):
    values = np.asarray(state.eigenvalues)
    before, now = values[:window].mean(), values[-window:].mean()
    if not 0 < before < ratio * now:  # NaN: there are not enough yet.
      return None
    return Verdict(
      f'the largest eigenvalue rose from {before:.3g} to {now:.3g} in {apart} '
      'measurements',
      jax.tree.map(lambda a: np.asarray(a)[0], state.alphas),
      int(state.steps[0]),
    )

  return Rule(init, update, verdict)
