"""Trains one network from scratch and tests it once, at the end.

  python -m experiments.train --workdir=runs/train \\
    --architecture=runs/search/architecture.json --dataset=fashion_mnist_5k

or `--network=mobilenet_v2 --width=0.25` instead of `--architecture`; writes
`result.json` and the weights. The same command resumes a killed run. With
`--evaluate` it trains nothing, and tests the weights of a finished run.
"""

from .flags import early

if __name__ == '__main__':
  early.begin('train')  # Before imports that take seconds.

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from absl import flags

from nasjax import checks, data, options
from nasjax.data import stream
from nasjax.errors import InputError
from nasjax.options import as_given, check_types, documented, group, option
from nasjax.run import datasets, finished
from nasjax.run import record as record_lib
from nasjax.run.hosts import processes
from nasjax.run.train_network import train_network
from nasjax.run.trained import Trained
from nasjax.run.workdir import schema
from nasjax.space import (
  Architecture,
  Space,
  check_image_size,
  fix,
  resize,
)
from nasjax.train.recipe import Recipe

from .flags import (
  cli,
  configs,
  hosts,
  names,
  presets,
  programs,
  ran,
  sources,
)
from .flags.training import Images, Named, Teacher


@documented
@dataclasses.dataclass(frozen=True)
class Flags:
  """What a training is told.

  Raises:
    InputError: a value out of its range, or a field without effect.
  """

  preset: str | None = option(None, presets.text(presets.TRAIN))
  named: Named = group(Named())
  images: Images = group(Images())
  seed: int = option(0, 'seed of everything random in the training')
  recipe: Recipe = group(Recipe())
  taught: Teacher = group(Teacher())
  values: Mapping[str, Any] = as_given()

  def __post_init__(self):
    check_types(self)
    checks.check_seed(self.seed)


@documented
@dataclasses.dataclass(frozen=True)
class Action:
  """What to do."""

  evaluate: bool = option(
    False, 'test the finished run in --workdir, and write nothing'
  )


OPTIONS = options.of(Flags)
# Values of a run's `config.json`.
_CONFIG = schema.both(
  schema.flags(OPTIONS), schema.fields(data_content=schema.text)
)
_OF_NETWORKS = tuple(options.of(Named))


def network_for(
  named: Named,
  dataset: data.Dataset | stream.Streamed,
  teacher: str | None = None,
) -> Space:
  """The network that the flags name, for a data set's images.

  Args:
    named: which network.
    dataset: whose sizes it takes.
    teacher: workdir of the teacher, which may need `named.ops` as well.

  Raises:
    InputError: there is no such network, or not for such images.
  """
  names.check_network(named, teacher)
  sizes = dataset.sizes
  if named.network is not None:
    return names.for_images(named.network, named.width, **sizes)
  loaded = Architecture.load(named.architecture, names.ops_of(named.ops))
  return fix(resize(loaded.space, **sizes), loaded)


def teacher_for(
  told: Flags, dataset: data.Dataset | stream.Streamed
) -> finished.Taught:
  """What `--teacher` names, for a data set's images."""
  taught = told.taught
  if taught.teacher is None:
    return finished.Taught()
  return finished.teacher(
    pathlib.Path(taught.teacher).expanduser(),
    dataset,
    taught.distill_weight,
    taught.distill_temperature,
    names.ops_of(told.named.ops),
  )


def train_as_told(
  told: Flags, workdir: str | pathlib.Path, command: str
) -> Trained:
  """Trains what the flags say.

  Raises:
    InputError: bad input; nothing was written then.
  """
  # All that does without images is checked before thousands are decoded.
  opened = sources.open_or_stream(told.images.streamable, told.images)
  datasets.check_recipe(told.recipe, opened)
  network = network_for(told.named, opened, told.taught.teacher)
  check_image_size(network)
  told.recipe.of_network(network)
  taught = teacher_for(told, opened)
  return train_network(
    network,
    datasets.read(opened),
    told.recipe,
    workdir=workdir,
    seed=told.seed,
    valid_fraction=told.images.valid_fraction,
    taught=taught,
    record={'command': command},
    told=told.values,
  )


def evaluate(
  workdir: pathlib.Path, given: Mapping[str, Any]
) -> dict[str, float]:
  """Tests what a finished run left, on the images of the run; writes nothing.

  Args:
    workdir: of the run.
    given: flags that were typed, by name; they have to be those of the run,
      but for `data_dir`: the same images may lie elsewhere now.

  Returns:
    Test accuracy of each of its weights.

  Raises:
    InputError: no finished run, or one with other flags, network or images.
  """
  found = finished.read(workdir, names.ops_of(given.get('ops')))
  before = schema.read(workdir / 'config.json', _CONFIG)
  values = cli.defaults(OPTIONS) | before
  values |= {name: given[name] for name in ('data_dir',) if name in given}
  for name, value in given.items():
    if name not in _OF_NETWORKS and values[name] != value:
      raise InputError(
        f'workdir {workdir} holds a run with {name}={values[name]}, not '
        f'{value}; leave it out'
      )
  # Not the whole flags: its recipe is over, and may be refused today.
  dataset = ran.read(values)
  typed = {name: given[name] for name in _OF_NETWORKS if name in given}
  if typed.keys() - {'ops'}:
    base = {} if {'architecture', 'network'} & typed.keys() else values
    named = configs.of(Named, {**base, 'ops': None, **typed})
    network = network_for(named, dataset, values['teacher'])
    finished.check_network(found, network)
  ran.check_content(workdir, dataset, before['data_content'])
  return finished.evaluate(found, dataset)


def say_evaluation(workdir: pathlib.Path, found: dict[str, float]) -> None:
  """Prints accuracies to the last digit, beside those that were recorded."""
  result = record_lib.read_json(workdir / 'result.json')
  for name, accuracy in found.items():
    before = result[f'{name}_test_accuracy']
    same = 'as' if before == accuracy else f'not {before!r} as'
    mark = ' (evaluated)' if name == result['evaluated'] else ''
    print(
      f'test accuracy {accuracy!r} on {result["test_images"]} images, {same} '
      f'recorded: {name} weights{mark}'
    )


def main() -> None:
  programs.keep()
  with hosts.joined():
    _run_as_told()


def _run_as_told() -> None:
  given = cli.given(OPTIONS)
  workdir = pathlib.Path(flags.FLAGS.workdir).expanduser()
  if configs.of(Action, cli.values(options.of(Action))).evaluate:
    say_evaluation(workdir, evaluate(workdir, given))
    return
  command = cli.command('experiments.train')
  values = presets.applied(cli.values(OPTIONS), given, presets.TRAIN)
  before = (workdir / 'result.json').exists()
  told = configs.of(Flags, values)
  result = train_as_told(told, workdir, command).result
  if not processes.first():
    return
  if before:
    print('this training was finished before; nothing was computed again')
  print(
    f'test accuracy {100 * result["test_accuracy"]:.2f} % on '
    f'{result["test_images"]} images, {result["macs"]} MACs, '
    f'{result["params"]} parameters'
  )
  print(f'wrote {workdir / "result.json"}')


def define() -> None:
  """Defines the flags of the script."""
  cli.define_workdir()
  cli.define(programs.OPTIONS)
  cli.define(hosts.OPTIONS)
  cli.define(OPTIONS)
  cli.define(options.of(Action))


def start() -> None:
  """Runs the script."""
  define()
  cli.run(main, required=('workdir',))


if __name__ == '__main__':
  start()
