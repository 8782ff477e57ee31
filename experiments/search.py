"""Searches an architecture within limits, by gradient.

  python -m experiments.search --workdir=runs/search \\
    --dataset=fashion_mnist_5k --space=mobile_small --limit=macs=1.6M

writes `architecture.json`, `metrics.jsonl`, `checkpoints/` and figures into
the workdir. The same command resumes a killed run.
"""

from .flags import early

if __name__ == '__main__':
  early.begin('search')  # Before imports that take seconds.

import pathlib
import sys
from collections.abc import Mapping
from typing import Any

from absl import flags

from nasjax import data
from nasjax import space as space_lib
from nasjax.data import stream
from nasjax.printable import printable
from nasjax.run import datasets, inputs, outcome, searching
from nasjax.run.config import SearchConfig
from nasjax.run.limits import Limits, warnings
from nasjax.space import Space

from .flags import (
  cli,
  configs,
  limits,
  names,
  presets,
  programs,
  sources,
)

OPTIONS = {
  'preset': presets.option(presets.SEARCH),
  **sources.OPTIONS,
  **sources.STREAM_OPTIONS,
  'space': (
    'mobile_small',
    f'search space, {cli.one_of(names.SPACES)}, or module:function',
  ),
  **limits.OPTIONS,
  **configs.SEARCH,
}


def check(
  values: Mapping[str, Any],
  opened: data.Opened | data.Dataset | stream.Streamed,
) -> tuple[SearchConfig, Space, Limits]:
  """Flags to objects, as far as that goes without images.

  Args:
    values: of every option of `OPTIONS`.
    opened: the data set, of which only the sizes are read.

  Raises:
    InputError: bad input.
  """
  config = configs.of(SearchConfig, values)
  space = names.space(values['space'])(**opened.sizes)
  space_lib.check_image_size(space)
  limited = limits.of(values['limit'], space)
  inputs.check(config, space, opened, limited)
  return config, space, limited


def prepare(
  values: Mapping[str, Any],
  dataset: data.Dataset | stream.Streamed | None = None,
) -> inputs.Inputs:
  """Flags to objects; writes nothing.

  Args:
    values: of every option of `OPTIONS`.
    dataset: to search on; None is the one that the flags name.

  Raises:
    InputError: bad input.
  """
  opened = dataset or sources.open_or_stream(values, OPTIONS)
  # All that does without images is checked before thousands are decoded.
  config, space, limited = check(values, opened)
  return inputs.prepare(config, space, datasets.read(opened), limited)


def run(
  values: Mapping[str, Any],
  workdir: str | pathlib.Path,
  command: str = '',
  **more: Any,
) -> searching.Found:
  """Searches as flags say; see `nasjax.run.searching.run` for the rest.

  Raises:
    InputError: bad input; nothing was written then.
    DivergedError: the search diverged.
  """
  prepared = prepare(values, more.pop('dataset', None))
  for line in warnings(prepared.limits):
    print(f'warning: {line}', file=sys.stderr)
  return searching.run(prepared, workdir, told=values, command=command, **more)


def main() -> None:
  programs.keep()
  workdir = pathlib.Path(flags.FLAGS.workdir).expanduser()
  values = cli.values(OPTIONS)
  values = presets.applied(values, cli.given(OPTIONS), presets.SEARCH)
  before = searching.is_finished(workdir)
  run(values, workdir, cli.command('experiments.search'))
  if before:
    print('this search was finished before; nothing was computed again')
  record = space_lib.read_record(workdir / 'architecture.json')
  print('\n'.join(map(printable, outcome.lines(record))))
  for path in sorted(workdir.glob('*.json')) + sorted(workdir.glob('*.png')):
    print(f'wrote {path}')


def define() -> None:
  """Defines the flags of the script."""
  cli.define_workdir()
  programs.define()
  cli.define(OPTIONS)


def start() -> None:
  """Runs the script."""
  define()
  cli.run(main, required=('workdir',))


if __name__ == '__main__':
  start()
