"""Training of one network from scratch.

`make` gives an (init, step) pair of pure functions that the caller jits.
"""

from nasjax.train.distill import Teacher
from nasjax.train.evaluation import evaluate, logits, predict, score
from nasjax.train.losses import accuracy, cross_entropy
from nasjax.train.recipe import Recipe
from nasjax.train.step import State, Train, Weights, make, weights

__all__ = [
  'Recipe',
  'State',
  'Teacher',
  'Train',
  'Weights',
  'accuracy',
  'cross_entropy',
  'evaluate',
  'logits',
  'make',
  'predict',
  'score',
  'weights',
]
