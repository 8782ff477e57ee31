"""Searches an architecture within limits, by gradient.

  python -m experiments.search --workdir=runs/search \\
    --dataset=fashion_mnist_5k --space=mobile_small --limit=macs=1.6M

writes `architecture.json`, `metrics.jsonl`, `checkpoints/` and figures into
the workdir. The same command resumes a killed run.
"""

from .flags import early

if __name__ == '__main__':
  early.begin('search')  # Before imports that take seconds.

import dataclasses
import pathlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

from absl import flags

from nasjax import cost, data, options
from nasjax import space as space_lib
from nasjax.data import stream
from nasjax.errors import InputError
from nasjax.options import as_given, check_types, documented, group, option
from nasjax.printable import printable
from nasjax.run import datasets, inputs, outcome, searching
from nasjax.run import record as record_lib
from nasjax.run.config import SearchConfig
from nasjax.run.found import Found
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


@documented
@dataclasses.dataclass(frozen=True)
class Flags:
  """What a search is told.

  Raises:
    InputError: a value out of its range, or a field without effect.
  """

  preset: str | None = option(None, presets.text(presets.SEARCH))
  images: sources.Streamable = group(sources.Streamable())
  space: str = option(
    'mobile_small',
    f'search space, {cli.one_of(names.SPACES)}, or module:function',
  )
  limit: tuple[str, ...] = option(
    (), 'limit on a resource, such as macs=1.6M, latency_ms=3.5 or size_kb=200'
  )
  latency_table: str | None = option(
    None, 'file with the times of a device, for a limit on latency_ms'
  )
  deploy_dtype: str | None = option(
    None,
    'type that the network is deployed in, float32 or int8, for limits on '
    'latency_ms, size_kb and ram_kb; not given: that of latency_table, or '
    'float32',
  )
  search: SearchConfig = group(SearchConfig())
  values: Mapping[str, Any] = as_given()

  def __post_init__(self):
    check_types(self)
    if self.deploy_dtype not in (None, *cost.DTYPES):
      raise InputError(
        f'deploy_dtype is {self.deploy_dtype!r}; it must be one of '
        f'{", ".join(cost.DTYPES)}'
      )


OPTIONS = options.of(Flags)


def check(
  told: Flags, opened: data.Opened | data.Dataset | stream.Streamed
) -> tuple[Space, Limits]:
  """Flags to objects, as far as that goes without images.

  Args:
    told: the flags.
    opened: the data set, of which only the sizes are read.

  Raises:
    InputError: bad input.
  """
  space = names.space(told.space)(**opened.sizes)
  space_lib.check_image_size(space)
  limited = limits.of(told.limit, space, told.latency_table, told.deploy_dtype)
  inputs.check(told.search, space, opened, limited)
  return space, limited


def prepare(
  told: Flags,
  dataset: data.Dataset | stream.Streamed | None = None,
  warn: Callable[[str], None] = lambda line: None,
) -> inputs.Inputs:
  """Flags to objects; writes nothing.

  Args:
    told: the flags.
    dataset: to search on; None is the one that the flags name.
    warn: takes each warning, before images are decoded.

  Raises:
    InputError: bad input.
  """
  opened = dataset or sources.open_or_stream(told.images)
  # All that does without images is checked before thousands are decoded.
  space, limited = check(told, opened)
  of_table = limits.warnings(told.latency_table, space)
  for line in (*warnings(limited), *of_table):
    warn(line)
  return inputs.prepare(told.search, space, datasets.read(opened), limited)


def run(
  told: Flags,
  workdir: str | pathlib.Path,
  command: str = '',
  **more: Any,
) -> Found:
  """Searches as flags say; see `nasjax.run.searching.run` for the rest.

  Raises:
    InputError: bad input; nothing was written then.
    DivergedError: the search diverged.
  """
  prepared = prepare(told, more.pop('dataset', None), _warn)
  values = dict(told.values)
  if any(c.name == cost.LATENCY for c in prepared.limits):
    # The times in a file may change under the same name.
    values['limits_content'] = record_lib.fingerprint(*prepared.limits)
  return searching.run(prepared, workdir, told=values, command=command, **more)


def _warn(line: str) -> None:
  print(f'warning: {line}', file=sys.stderr)


def main() -> None:
  programs.keep()
  workdir = pathlib.Path(flags.FLAGS.workdir).expanduser()
  values = cli.values(OPTIONS)
  values = presets.applied(values, cli.given(OPTIONS), presets.SEARCH)
  before = searching.is_finished(workdir)
  run(configs.of(Flags, values), workdir, cli.command('experiments.search'))
  if before:
    print('this search was finished before; nothing was computed again')
  record = space_lib.read_record(workdir / 'architecture.json')
  print('\n'.join(map(printable, outcome.lines(record))))
  for path in sorted(workdir.glob('*.json')) + sorted(workdir.glob('*.png')):
    print(f'wrote {path}')


def define() -> None:
  """Defines the flags of the script."""
  cli.define_workdir()
  cli.define(programs.OPTIONS)
  cli.define(OPTIONS)


def start() -> None:
  """Runs the script."""
  define()
  cli.run(main, required=('workdir',))


if __name__ == '__main__':
  start()
