"""Names of flags, and what they stand for."""

from nasjax import (
  relax,
)
from nasjax.run import config as config_lib


def test_every_relaxation_has_its_name():
  known = {n: getattr(relax, n.upper()) for n in config_lib.RELAXATIONS}
  assert known == config_lib.RELAXATIONS
  made = {n for n, r in vars(relax).items() if isinstance(r, relax.Relaxed)}
  assert made == {n.upper() for n in config_lib.RELAXATIONS}
