"""Whether what a search learnt from can rank networks, and warnings if not."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nasjax import guard
from nasjax.cost import Cost, macs
from nasjax.derive.problem import Alphas
from nasjax.run.limits import Limits
from nasjax.search import contributions
from nasjax.space import Choice, SearchSpace
from nasjax.supernet import Gates, gates


def gates_of(
  space: SearchSpace,
  judged: contributions.Judged | tuple[()],
  cost: Cost,
) -> Gates | None:
  """The gates of a supernet, by the networks that the search has judged.

  Args:
    space: the search space.
    judged: of the state at the end of the search.
    cost: what accuracy should rise with.

  Returns:
    None for a search that judges no single networks, or judged too few: fewer
    than twice as many as there are options.
  """
  if not isinstance(judged, contributions.Judged):
    return None
  number = min(int(judged.count), len(judged.losses))
  options = {n: np.asarray(o)[:number] for n, o in judged.options.items()}
  columns = sum(np.prod((*c.shape, len(c))) for c in space.choices.values())
  if number < 2 * columns:
    return None
  # Neighbours in time were drawn from like probs: halves are alternate ones.
  order = np.argsort(np.arange(number) % 2, kind='stable')
  options = {name: o[order] for name, o in options.items()}
  each = jax.jit(jax.vmap(lambda index: cost(_one_hot(space, index))))
  costs = np.asarray(each({n: jnp.asarray(o) for n, o in options.items()}))
  losses = np.asarray(judged.losses)[:number][order]
  return gates(space.choices, options, losses, costs)


def _one_hot(
  space: SearchSpace, index: Mapping[str, jax.Array]
) -> dict[str, jax.Array]:
  return {
    name: jax.nn.one_hot(index[name], len(choice))
    for name, choice in space.choices.items()
  }


def collapsed(choices: Mapping[str, Choice], logits: Alphas) -> list[str]:
  """A warning if most choices that have a skip would take it.

  Without a limit, a mixture of ops tends towards skips, which have no weights
  to be trained (Zela et al. 2020, R-DARTS).

  Args:
    choices: name to choice.
    logits: name to `f32[*shape, options]`, at the end of the search.

  Example:
    >>> choices = {'edge': Choice(('conv', 'skip'), shape=(3,), skip=1)}
    >>> collapsed(choices, {'edge': np.array([[0, 1], [0, 1], [0, 1]])})
    ['alphas may have collapsed: the skip is the most probable option in 3 of \
3 places that have one; relax=contributions does not do that']
    >>> collapsed(choices, {'edge': np.array([[1, 0], [1, 0], [0, 1]])})
    []
  """
  skips = guard.skips(choices)
  places = sum(int(np.prod(choices[name].shape)) for name in skips)
  rows = {name: jnp.asarray(row) for name, row in logits.items()}
  number = int(guard.count_skips(rows, choices))
  if places < 3 or 2 * number <= places:
    return []
  return [
    'alphas may have collapsed: the skip is the most probable option in '
    f'{number} of {places} places that have one; relax=contributions does not '
    'do that'
  ]


def described(
  space: SearchSpace,
  judged: contributions.Judged | tuple[()],
  logits: Alphas,
  limits: Limits,
) -> dict[str, Any]:
  """The fields `gates` and `collapsed` of a record, as far as they are known.

  Args:
    space: the search space.
    judged: of the state at the end of the search.
    logits: from which the architecture is derived.
    limits: of the search; may be empty.
  """
  # Without limits there is a price of MACs.
  found = gates_of(space, judged, next(iter(limits), None) or macs(space))
  warnings = []
  if not isinstance(judged, contributions.Judged):
    warnings = collapsed(space.choices, logits)
  return {
    **({} if found is None else {'gates': found._asdict()}),
    **({'collapsed': warnings} if warnings else {}),
  }


def gates_in(record: Mapping[str, Any]) -> Gates | None:
  """The gates of a record that `described` made."""
  return Gates(**record['gates']) if record.get('gates') else None


def lines(record: Mapping[str, Any]) -> list[str]:
  """Lines about what `architecture.json` was derived from.

  Args:
    record: its field `supernet`; older ones have neither `gates` nor
      `collapsed`.

  Example:
    >>> lines({'gates': {'rises': -0.2, 'agree': 0.9, 'networks': 100}})
    ['the supernet may not rank: networks of the supernet that cost more are \
not better: Spearman -0.20, above 0 is wanted']
  """
  found = list(record.get('collapsed', []))
  own = gates_in(record)
  if own is None:
    return found
  if failures := own.failures():
    found += [f'the supernet may not rank: {line}' for line in failures]
  else:
    found.append(
      'the supernet passes its gates: networks that cost more are better '
      f'(Spearman {own.rises:.2f}), and halves of the judged ones agree on the '
      f'options (Kendall tau {own.agree:.2f})'
    )
  return found
