"""A search to be limited, its alphas, and one that judges few networks."""

from typing import NamedTuple

import jax

from experiments.flags import configs, limits
from nasjax.run import limits as limits_lib
from nasjax.run.config import SearchConfig

# Instead of 800 networks on 1000 images; `spaces.tiny` has 4 free options.
FEW = {'networks': 16, 'networks_per_step': 4, 'network_images': 16}


class Alphas(NamedTuple):
  step: jax.Array
  alphas: dict
  judged: tuple = ()  # No networks.


def keep(s, limit, **given):
  """What keeps limits as typed, and the limits."""
  config = configs.of(SearchConfig, given)
  limited = limits.of(limit, s)
  limits_lib.check(config, s, limited)
  return limits_lib.keep(config, s, limited), limited
