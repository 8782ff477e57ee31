"""Names of flags, and what they stand for."""

from nasjax import (
  relax,
)
from nasjax.run import config as config_lib


def test_every_relaxation_has_its_name():
  # Of `contributions` a relaxation draws the networks; alphas learn elsewhere.
  other = {'contributions': 'PATHS'}
  named = {n: other.get(n, n.upper()) for n in config_lib.RELAXATIONS}
  known = {n: getattr(relax, attribute) for n, attribute in named.items()}
  assert known == config_lib.RELAXATIONS
  made = {n for n, r in vars(relax).items() if isinstance(r, relax.Relaxed)}
  assert made == set(named.values())
