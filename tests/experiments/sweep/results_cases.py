"""Results of a sweep that are made up."""

from experiments.sweep.networks import Entry
from experiments.sweep.plan import Level
from experiments.sweep.results import Scored
from nasjax import space, spaces

_TINY = spaces.tiny()
NETWORK = _TINY.fix(space.argmax(_TINY, space.init_alphas(_TINY)))
LEVEL = Level('1.00M', 1e6, None, True)


def scored(name, kind, tests, valid=0.5, folder=None):
  entry = Entry(name, kind, LEVEL, 1e6, NETWORK, folder=folder or name)
  return Scored(entry, tuple(tests), (valid,) * len(tests), 10, 20)


def made_up(shift=0.0):
  searched = [0.80 + shift, 0.81 + shift, 0.82 + shift]
  return [
    *(scored(f's{i}', 'searched', (x, x)) for i, x in enumerate(searched)),
    *(scored(f'r{i}', 'random', (x,)) for i, x in enumerate((0.79, 0.82, 0.8))),
    scored('zoo_a_1.00M', 'zoo', (0.70, 0.71), valid=0.9),
    scored('zoo_b_1.00M', 'zoo', (0.98, 0.99), valid=0.1),
    scored('hand_1.00M', 'hand-made', (0.78, 0.80)),
  ]
