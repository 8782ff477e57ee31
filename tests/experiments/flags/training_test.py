"""Flags of a training, as objects: checked where they are made."""

import pytest

from experiments import train
from experiments.flags import configs, training
from tests.conftest import refused


def test_values_go_to_the_part_that_has_the_flag():
  given = {'network': 'resnet18', 'width': 0.5, 'dataset': 'mnist', 'seed': 3}
  given |= {'stream': True, 'valid_fraction': 0.2, 'epochs': 2}
  given |= {'teacher': 'runs/own', 'distill_weight': 0.3}
  told = configs.of(train.Flags, given)
  assert told.named == training.Named(network='resnet18', width=0.5)
  assert told.images.streamable.source.dataset == 'mnist'
  assert (told.images.streamable.stream, told.seed) == (True, 3)
  assert told.images.valid_fraction == 0.2
  assert (told.recipe.epochs, told.recipe.batch_size) == (2, 32)
  assert told.taught == training.Teacher('runs/own', 0.3)
  # What `config.json` keeps: every flag, in the order of the flags.
  assert list(told.values) == list(train.OPTIONS)
  assert {name: told.values[name] for name in given} == given


@pytest.mark.parametrize(
  ('kind', 'given', 'message'),
  [
    (
      training.Images,
      {'valid_fraction': 1.0},
      'valid_fraction is 1.0',
    ),
    (
      training.Images,
      {'valid_fraction': 'a'},
      "valid_fraction is 'a'",
    ),
    (training.Named, {'width': '0.5'}, "width is '0.5'; it must be a number"),
    (
      training.Teacher,
      {'distill_weight': 0.3},
      'distill_weight=0.3 has',
    ),
    (training.Teacher, {'distill_temperature': 1.0}, 'distill_temperature=1.0'),
    (train.Flags, {'seed': -1}, 'seed is -1; it must be 0 to'),
    (train.Flags, {'seed': 1.5}, 'seed is 1.5; it must be a whole number'),
  ],
)
def test_a_value_out_of_its_range_is_refused_by_name(kind, given, message):
  refused(message, kind, **given)
