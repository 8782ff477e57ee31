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

import pathlib
from typing import Any

from absl import flags

from nasjax import checks, data
from nasjax.data import stream
from nasjax.errors import InputError
from nasjax.run import (
  datasets,
  finished,
  holdout,
)
from nasjax.run import record as record_lib
from nasjax.run.hosts import processes
from nasjax.run.train_network import train_network
from nasjax.run.trained import Trained
from nasjax.run.workdir import (
  schema,
)
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
  sources,
)


def network_for(
  config: dict[str, Any], dataset: data.Dataset | stream.Streamed
) -> Space:
  """What `--architecture` or `--network` names, for a data set's images."""
  names.check_network(config, OPTIONS)
  sizes = dataset.sizes
  if config['network'] is not None:
    return names.for_images(config['network'], config['width'], **sizes)
  ops = names.ops_of(config['ops'])
  loaded = Architecture.load(config['architecture'], ops)
  sized = resize(loaded.space, **sizes)
  return fix(sized, loaded)


OPTIONS = {
  'preset': presets.option(presets.TRAIN),
  'architecture': (None, 'architecture.json of the network to train'),
  'ops': (
    None,
    'Python module with your ops, if --architecture, --teacher or the run of '
    '--evaluate uses them',
  ),
  'network': (None, f'published network, {cli.one_of(names.NETWORKS)}'),
  'width': (1.0, 'width multiplier of --network'),
  **sources.OPTIONS,
  **sources.STREAM_OPTIONS,
  'valid_fraction': (
    0.0,
    'fraction of the training images that is held out to choose the best '
    'weights; 0: the last weights are tested',
  ),
  'seed': (0, 'seed of everything random in the training'),
  **configs.RECIPE,
  'teacher': (None, 'workdir of a finished training to learn from'),
  'distill_weight': (
    0.5,
    "weight of the teacher's loss, from 0 to 1; the label loss gets 1 - weight",
  ),
  'distill_temperature': (
    4.0,
    'temperature at which outputs are compared with the teacher',
  ),
}
# What a run was told, as its `config.json` has it.
_CONFIG = schema.both(
  schema.flags(OPTIONS), schema.fields(data_content=schema.text)
)
_OF_TEACHERS = 'distill_weight', 'distill_temperature'
_OF_NETWORKS = 'architecture', 'ops', 'network', 'width'


def teacher_for(
  config: dict[str, Any], dataset: data.Dataset | stream.Streamed
) -> finished.Taught:
  """What `--teacher` names, for a data set's images."""
  if config['teacher'] is None:
    cli.refuse_ignored(config, OPTIONS, _OF_TEACHERS, 'without --teacher')
    return finished.Taught()
  numbers = (config[name] for name in _OF_TEACHERS)
  workdir = pathlib.Path(config['teacher']).expanduser()
  ops = names.ops_of(config['ops'])
  return finished.teacher(workdir, dataset, *numbers, ops)


def train_as_told(
  config: dict[str, Any], workdir: str | pathlib.Path, command: str
) -> Trained:
  """Trains what the flags say.

  Raises:
    InputError: bad input; nothing was written then.
  """
  recipe = configs.of(Recipe, config)
  checks.check_seed(config['seed'])
  holdout.check_fraction(config['valid_fraction'])
  # All that does without images is checked before thousands are decoded.
  opened = sources.open_or_stream(config, OPTIONS)
  datasets.check_recipe(recipe, opened)
  network = network_for(config, opened)
  check_image_size(network)
  recipe.of_network(network)
  taught = teacher_for(config, opened)
  return train_network(
    network,
    datasets.read(opened),
    recipe,
    workdir=workdir,
    seed=config['seed'],
    valid_fraction=config['valid_fraction'],
    taught=taught,
    record={'command': command},
    told=config,
  )


def evaluate(workdir: pathlib.Path, given: dict[str, Any]) -> dict[str, float]:
  """Tests what a finished run left, on the images of the run; writes nothing.

  Args:
    workdir: of the run.
    given: flags that were given besides; they have to be those of the run, but
      for `data_dir`: the same images may lie elsewhere now.

  Returns:
    Test accuracy of each of its weights.

  Raises:
    InputError: no finished run, or one with other flags, network or images.
  """
  found = finished.read(workdir, names.ops_of(given.get('ops')))
  config = cli.defaults(OPTIONS) | schema.read(workdir / 'config.json', _CONFIG)
  config |= {name: given[name] for name in ('data_dir',) if name in given}
  for name, value in given.items():
    if name not in _OF_NETWORKS and config[name] != value:
      raise InputError(
        f'workdir {workdir} holds a run with {name}={config[name]}, not '
        f'{value}; leave it out'
      )
  dataset = sources.of_or_stream(config, OPTIONS, write=False)
  told = {name: given[name] for name in _OF_NETWORKS if name in given}
  if told.keys() - {'ops'}:
    base = config | {'ops': None}
    if {'architecture', 'network'} & set(told):
      base = config | {n: cli.defaults(OPTIONS)[n] for n in _OF_NETWORKS}
    finished.check_network(found, network_for(base | told, dataset))
  if datasets.content_of(dataset) != config['data_content']:
    raise InputError(
      f'the images of {dataset.name} are not those that {workdir} was trained '
      'and tested on'
    )
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
  if flags.FLAGS.evaluate:
    workdir = pathlib.Path(flags.FLAGS.workdir).expanduser()
    say_evaluation(workdir, evaluate(workdir, given))
    return
  workdir = pathlib.Path(flags.FLAGS.workdir).expanduser()
  command = cli.command('experiments.train')
  config = presets.applied(cli.values(OPTIONS), given, presets.TRAIN)
  before = (workdir / 'result.json').exists()
  result = train_as_told(config, workdir, command).result
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
  programs.define()
  hosts.define()
  cli.define(OPTIONS)
  flags.DEFINE_boolean(
    'evaluate', False, 'test the finished run in --workdir, and write nothing'
  )


def start() -> None:
  """Runs the script."""
  define()
  cli.run(main, required=('workdir',))


if __name__ == '__main__':
  start()
