"""A whole search: from a space, images and limits to an architecture."""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from nasjax import data, relax, report
from nasjax import space as space_lib
from nasjax.data import stream
from nasjax.derive.problem import Alphas
from nasjax.errors import InputError
from nasjax.run import (
  datasets,
  finalists,
  outcome,
  ranking,
  search_loop,
  supernets,
)
from nasjax.run import inputs as inputs_lib
from nasjax.run import progress as bars
from nasjax.run import record as record_lib
from nasjax.run.config import SearchConfig, configured
from nasjax.run.found import FIGURES, Found
from nasjax.run.inputs import Inputs
from nasjax.run.limits import Limits
from nasjax.run.workdir import (
  claims,
  diverged_file,
  metrics_file,
  schema,
  weights,
)
from nasjax.search import State, contributions
from nasjax.space import Architecture, SearchSpace, Space

# Further fields of a record that `Found` reads.
_RECORD = schema.fields(
  finalists=schema.each(schema.fields(log_prob=schema.number)),
  stopped=schema.anything,
)


def search(
  space: SearchSpace,
  dataset: data.Dataset | stream.Streamed | tuple[Any, Any],
  *,
  limits: Limits,
  config: SearchConfig | None = None,
  workdir: str | pathlib.Path | None = None,
  progress: bool = True,
  **fields: Any,
) -> Found:
  """Searches an architecture within limits, by gradient.

  Args:
    space: the search space, at the sizes of the images.
    dataset: a data set, or training images `uint8[n, height, width, channels]`
      with labels `int[n]`. Test images are not used.
    limits: cost of `space` to the largest value allowed, in the cost's unit.
    config: how to search; None is the default.
    workdir: folder of the run. The same call resumes a killed run; the result
      is bit-identical. None writes nothing.
    progress: whether progress is shown, on stderr or in a notebook.
    **fields: fields of `SearchConfig` that replace those of `config`.

  Returns:
    The derived architecture, with alphas, metrics and limits.

  Raises:
    InputError: bad input; nothing was written then.
    DivergedError: the search diverged.

  Example:
    >>> import nasjax as nj
    >>> dataset = nj.data.load('fashion_mnist_5k')
    >>> tiny = nj.spaces.tiny(**dataset.sizes)
    >>> limits = {nj.cost.macs(tiny): 90_000}
    >>> found = search(
    ...   tiny, dataset, limits=limits, steps=4, warmup_steps=2, progress=False)
    >>> found.certificate.kept['macs'].slack >= 0
    True
  """
  config = configured(config or SearchConfig(), fields)
  with bars.shown(progress):
    dataset = datasets.of(dataset)
    inputs = inputs_lib.prepare(config, space, dataset, limits)
    return run(inputs, workdir)


def run(
  inputs: Inputs,
  workdir: str | pathlib.Path | None,
  *,
  told: Mapping[str, Any] | None = None,
  command: str = '',
  compiled: Callable[..., search_loop.Compiled] | None = None,
  keep_supernet: bool = False,
) -> Found:
  """Searches, derives, writes and draws.

  Args:
    inputs: inputs of the search.
    workdir: where the run is kept; None writes nothing.
    told: values that identify the run, for `config.json`. A workdir with other
      values is refused. None is the configuration.
    command: the command line, for the record.
    compiled: compiles the steps, see `search_loop.run`; searches can share it.
    keep_supernet: whether all weights of the supernet are kept, in
      `weights/supernet`.

  Raises:
    InputError: bad input; nothing was written then.
    DivergedError: the search diverged.
  """
  if workdir is None:
    return _search(inputs, None, command, compiled, keep_supernet)
  if not space_lib.is_written(inputs.space):
    raise InputError(
      f'space {inputs.space.name!r} is no chain of slots and no space of cells '
      'and cannot be written to a file; search without a workdir'
    )
  # A space or images may change under the same name.
  content = {
    'space_content': record_lib.fingerprint(inputs.space),
    'data_content': inputs.data_content,
  }
  told = _told(inputs) if told is None else told
  with claims.claimed(workdir, {**told, **content}) as claimed:
    if is_finished(claimed):
      found = _read(inputs, claimed)
    else:
      found = _search(inputs, claimed, command, compiled, keep_supernet)
    _draw(claimed, found)
  return found


def _told(inputs: Inputs) -> dict[str, Any]:
  """Values that identify a run from Python."""
  return {
    **json.loads(json.dumps(inputs.config.described())),
    'space': inputs.space.name,
    'dataset': inputs.dataset.name,
    'crop_area': getattr(inputs.dataset, 'crop_area', None),
    'limits': {c.name: limit for c, limit in inputs.limits.items()},
    # A cost of the user's own may change under the same name.
    'limits_content': record_lib.fingerprint(*inputs.limits),
  }


def is_finished(workdir: pathlib.Path) -> bool:
  """Whether the search in a workdir is finished."""
  return (workdir / 'architecture.json').exists()


def _read(inputs: Inputs, workdir: pathlib.Path) -> Found:
  """Reads the result of a finished search."""
  path = workdir / 'architecture.json'
  architecture = Architecture.load(path, space_lib.op_types(inputs.space))
  if architecture.space != inputs.space:
    raise InputError(f'{path} has another space than its run; restore the file')
  record = space_lib.read_record(path)
  schema.hold(
    path, record, schema.both(outcome.derived_from(inputs.space), _RECORD)
  )
  return Found(
    architecture,
    {k: np.asarray(v, np.float32) for k, v in record['alphas'].items()},
    metrics_file.read(workdir),
    dict(inputs.limits),
    inputs.config,
    finalists=record['finalists'],
    stopped=record['stopped'],
    record=record,
    gates=ranking.gates_in(record.get('supernet', {})),
  )


def _search(inputs, workdir, command, compiled, keep_supernet) -> Found:
  """Takes the missing steps, derives, and writes the architecture."""
  config = inputs.config
  supernet = supernets.described(inputs.supernet, inputs.space)
  for line in supernets.said(supernet):
    bars.note(line)
  parts, rows = inputs_lib.build(inputs), []
  state, stopped = search_loop.run(inputs, parts, workdir, rows, compiled)
  params_of = functools.partial(inputs_lib.params_of, inputs, parts, state)
  if workdir is not None and keep_supernet:
    weights.store(workdir, supernets.WHOLE, {'params': params_of()})
  logits = _logits(config, state)
  ranks = ranking.described(inputs.space, state.judged, logits, inputs.limits)
  if workdir is None:
    for line in ranking.lines(ranks):
      bars.note(line)
    architecture, trained = finalists.chosen(inputs, logits, None)
    return Found(
      architecture,
      logits,
      rows,
      dict(inputs.limits),
      config,
      params_of(),
      trained,
      stopped,
      gates=ranking.gates_in(ranks),
    )
  with diverged_file.written(workdir):
    architecture, trained = finalists.chosen(inputs, logits, workdir)
  classes = datasets.classes_of(inputs.dataset)
  if inputs.supernet == 'entangled':
    left = inputs_lib.inherited(inputs, architecture, params_of())
    weights.save(workdir, supernets.INHERITED, left.weights, classes)
    supernet |= left.record
  outcome.save(
    workdir,
    architecture,
    logits,
    inputs.limits,
    fill=config.fill,
    finalists=trained,
    command=command,
    seed=config.seed,
    stopped=stopped,
    supernet=supernet | ranks,
    classes=classes,
  )
  found = _read(inputs, workdir)
  return dataclasses.replace(found, weights=params_of())


def _logits(config: SearchConfig, state: State) -> Alphas:
  """What the architecture is derived from."""
  temperature = config.heat(state.step)
  if config.sampling is None:
    # The distribution that costs take is not always a softmax of the alphas.
    return relax.logits(config.relaxation, state.alphas, temperature)
  probs = config.relaxation.distribution(state.alphas, temperature)
  scores = functools.partial(contributions.scores, sampling=config.sampling)
  return jax.jit(scores)(state.judged, probs)


def _draw(workdir: pathlib.Path, found: Found) -> None:
  """Draws figures that are missing."""
  chain = isinstance(found.space, Space)
  wanted = FIGURES if chain else [f for f in FIGURES if f != 'architecture']
  if all((workdir / f'{name}.png').exists() for name in wanted):
    return
  try:
    search_figures = report.search_figures
    architecture_figure = report.architecture_figure
  except InputError as e:  # Without matplotlib, the search is still valid.
    bars.note(f'no figures: {e}')
    return
  search_figures(workdir, found.metrics, found.space, found.limits)
  if chain:
    architecture_figure(workdir / 'architecture.png', found.architecture)
