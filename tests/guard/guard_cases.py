"""Alphas and metrics that guards look at."""

import jax
import numpy as np

from nasjax import guard, space, spaces

TINY = spaces.tiny()
MOBILE = spaces.mobile_small()


def drawn_alphas(seed=0, scale=1.0, of=MOBILE):
  return space.init_alphas(of, jax.random.key(seed), scale)


def make_masks():
  """Which options are skips, `bool[options]`, of every choice with one."""
  choices = MOBILE.choices
  return {
    name: np.arange(len(choices[name])) == i
    for name, i in guard.skips(choices).items()
  }
