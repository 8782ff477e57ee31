"""Scripts' functions, called with values of flags; the others are default."""

from experiments import count, search, train
from experiments.flags import configs
from experiments.sweep import main, setup, sweep_flags


def count_run(values):
  return count.run(configs.of(count.Flags, values))


def search_run(values, *args, **given):
  return search.run(configs.of(search.Flags, values), *args, **given)


def search_prepare(values, *args):
  return search.prepare(configs.of(search.Flags, values), *args)


def train_as_told(values, workdir, command=''):
  told = configs.of(train.Flags, values)
  return train.train_as_told(told, workdir, command)


def sweep_prepare(values, workdir, command=''):
  return setup.prepare(configs.of(sweep_flags.Flags, values), workdir, command)


def sweep_run(values, *args, **given):
  return main.run(configs.of(sweep_flags.Flags, values), *args, **given)
