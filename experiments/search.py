"""Searches an architecture within limits, by gradient.

  python -m experiments.search --workdir=runs/search \\
    --dataset=fashion_mnist_5k --space=mobile_small --limit=macs=1.6M

writes `architecture.json`, `metrics.jsonl`, `checkpoints/` and figures into
the workdir. Started again after a kill it goes on where it was.
"""

import dataclasses
import functools
import pathlib
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import optax
from absl import flags

from experiments import (
  cli,
  compilation,
  constraints,
  datasets,
  diverged_file,
  finalists,
  guards,
  loop,
  metrics_file,
  names,
  outcome,
  portions,
  presets,
  schedules,
  searching,
  supernets,
  weights,
)
from experiments import recipe as recipes
from nasjax import data, relax, report, search
from nasjax import space as space_lib
from nasjax.data import stream
from nasjax.printable import printable
from nasjax.space import Architecture, Space
from nasjax.train import cross_entropy, optimizers

OPTIONS = {
  'preset': presets.option(presets.SEARCH),
  **datasets.OPTIONS,
  **datasets.STREAM_OPTIONS,
  'space': ('mobile_small', f'{cli.one_of(names.SPACES)}, or module:function'),
  **constraints.OPTIONS,
  **supernets.OPTIONS,
  'relax': ('softmax', cli.one_of(names.RELAXATIONS)),
  'temperature': (1.0, 'of the relaxation, at the start'),
  'final_temperature': (0.2, 'of the relaxation, at the end'),
  'steps': (240, 'weight steps, warm-up included'),
  'warmup_steps': (80, 'steps in which only weights learn'),
  'batch_size': (32, 'images per step'),
  'cutout': (0, 'edge of a black square in each image, in pixels; 0: none'),
  'learning_rate': (0.05, 'of the weights, at its peak'),
  **recipes.SEARCH_OPTIONS,
  'smoothing': (0.0, 'of the labels'),
  'weight_decay': (1e-4, 'of the weights: of kernels only'),
  'alpha_learning_rate': (0.05, "of the alphas: Adam's, at the start"),
  'alpha_weight_decay': (0.0, 'of the alphas, towards equal probabilities'),
  **guards.OPTIONS,
  **finalists.OPTIONS,
  'seed': (0, 'of everything that is random'),
  'log_every': (10, 'steps between lines of metrics'),
  'checkpoint_every': (50, 'steps between checkpoints'),
}


class Checked(NamedTuple):
  """What the flags of a search name, but for images; as in `Inputs`."""

  space: Space
  relaxation: relax.Relaxed
  kept: constraints.Kept
  guarded: guards.Guarded
  supernet: str


def check(
  config: dict[str, Any], opened: data.Opened | data.Dataset | stream.Streamed
) -> Checked:
  """All that does without images, so that none is decoded in vain.

  Args:
    config: a value for every option of `OPTIONS`.
    opened: of which only the sizes are looked at.

  Raises:
    InputError: bad input.
  """
  schedules.check(config)
  recipes.of(config)
  finalists.check(config)
  relaxation = cli.lookup('relaxation', config['relax'], names.RELAXATIONS)
  make_space = names.space(config['space'])
  space = make_space(**datasets.sizes_of(opened))
  space_lib.check_image_size(space)
  kept = constraints.of(config, space)
  guarded = guards.of(config, space, relaxation)
  supernet = supernets.kind_of(config, space, relaxation)
  datasets.check_batches(opened, config['batch_size'], config['cutout'])
  return Checked(space, relaxation, kept, guarded, supernet)


def prepare(
  config: dict[str, Any],
  dataset: data.Dataset | stream.Streamed | None = None,
) -> searching.Inputs:
  """Flags to objects; writes nothing.

  Args:
    config: a value for every option of `OPTIONS`.
    dataset: what is searched on; None is what the flags name.

  Raises:
    InputError: bad input.
  """
  opened = dataset or datasets.open_or_stream(config, OPTIONS)
  checked = check(config, opened)
  dataset = datasets.read(opened)
  train, valid = portions.halves(dataset, config['seed'])
  smaller = min(datasets.size_of(train), datasets.size_of(valid))
  batches = datasets.batches_of(
    dataset, config['batch_size'], smaller, config['cutout']
  )
  if config['finalists'] > 1:
    finalists.recipe_of(config, dataclasses.replace(dataset, train=train))
  return searching.Inputs(
    **checked._asdict(),
    train=train,
    valid=valid,
    batches=batches,
    temperature=schedules.temperature(config),
    data_content=datasets.content_of(dataset),
    dataset=dataset,
    crop_area=config['crop_area'],
    classes=datasets.classes_of(dataset),
  )


def alpha_optimizer(config: dict[str, Any]) -> optax.GradientTransformation:
  """Adam, whose rate falls over the steps of the alphas."""
  # To 0, so that the last alphas are no snapshot of a noisy gradient.
  rate = optax.cosine_decay_schedule(
    config['alpha_learning_rate'],
    max(1, config['steps'] - config['warmup_steps']),
  )
  return search.adam(rate, weight_decay=config['alpha_weight_decay'])


def build(config: dict[str, Any], inputs: searching.Inputs) -> search.Search:
  """The search's pure functions, with the optimizers that the flags name."""
  recipe = recipes.of(config)
  return search.make(
    inputs.space,
    inputs.batches,
    inputs.kept.constraints,
    projection=inputs.kept.projection,
    weight_tx=recipe.tx(config['steps']),
    regulariser=functools.partial(
      optimizers.decay, weight_decay=recipe.coupled_decay
    ),
    alpha_tx=alpha_optimizer(config),
    order=config['order'],
    neumann_terms=config['neumann_terms'],
    neumann_rate=config['neumann_rate'],
    relaxation=inputs.relaxation,
    temperature=inputs.temperature,
    guards=inputs.guarded.guards,
    loss=functools.partial(cross_entropy, smoothing=config['smoothing']),
    supernet='entangled' if inputs.supernet == 'entangled' else 'mixed',
    numerics=recipe.numerics,
    skip_nonfinite=recipe.skip_nonfinite > 0,
  )


def inherited(
  config: dict[str, Any],
  inputs: searching.Inputs,
  architecture: Architecture,
  params: dict[str, Any],
) -> supernets.Inherited:
  """What the search leaves to an architecture before it is trained."""
  return supernets.inherited(
    inputs.supernet,
    architecture,
    params,
    (inputs.train, inputs.valid),
    inputs.batches,
    recipes.of(config).numerics,
  )


def run(
  config: dict[str, Any],
  workdir: str | pathlib.Path,
  command: str = '',
  *,
  dataset: data.Dataset | stream.Streamed | None = None,
  compiled: Callable[..., searching.Compiled] | None = None,
  keep_supernet: bool = False,
) -> Architecture:
  """Searches, derives, writes and draws; see the head of this module.

  Args:
    config: a value for every option of `OPTIONS`.
    workdir: where the run is kept.
    command: what was typed, for the record.
    dataset: what is searched on; None is what the flags name.
    compiled: as of `searching.run`, for searches that share it.
    keep_supernet: whether all of its weights are kept, in `weights/supernet`.

  Returns:
    The derived architecture.

  Raises:
    InputError: bad input; nothing was written then.
    DivergedError: the search did.
  """
  inputs = prepare(config, dataset)
  # A space of one's own may change under the same name.
  content = {
    'space_content': loop.fingerprint(inputs.space),
    'data_content': inputs.data_content,
  }
  for line in constraints.warnings(inputs.kept.limits):
    print(line, file=sys.stderr)
  with loop.claimed(workdir, {**config, **content}) as claimed:
    if is_finished(claimed):
      path = claimed / 'architecture.json'
      ops = {type(op) for slot in inputs.space.slots for op in slot.ops}
      architecture = Architecture.load(path, tuple(ops))
    else:
      architecture = _search(
        config, inputs, claimed, command, compiled, keep_supernet
      )
    _draw(claimed, inputs, architecture)
  return architecture


def is_finished(workdir: pathlib.Path) -> bool:
  """Whether a search came to its end: its last file but figures is there."""
  return (workdir / 'architecture.json').exists()


def _search(
  config, inputs, workdir, command, compiled, keep_supernet
) -> Architecture:
  """Takes the steps that are missing, derives, and writes the architecture."""
  supernet = supernets.described(inputs.supernet, inputs.space)
  for line in supernets.said(supernet):
    print(printable(line), file=sys.stderr)
  parts = build(config, inputs)
  state, stopped = searching.run(config, inputs, parts, workdir, compiled)
  if keep_supernet:
    weights.store(workdir, supernets.WHOLE, {'params': parts.params(state)})
  limits = inputs.kept.limits
  # Of the distribution that the costs were of, which is not always a softmax.
  heat = inputs.temperature(state.step)
  logits = relax.logits(inputs.relaxation, state.alphas, heat)
  with diverged_file.written(workdir):
    architecture, trained = finalists.chosen(
      config, inputs, logits, limits, workdir
    )
  if inputs.supernet == 'entangled':
    left = inherited(config, inputs, architecture, parts.params(state))
    own = left.weights
    weights.save(workdir, supernets.INHERITED, own, inputs.classes)
    supernet |= left.record
  outcome.save(
    workdir,
    architecture,
    logits,
    limits,
    fill=config['fill'],
    finalists=trained,
    command=command,
    seed=config['seed'],
    stopped=stopped,
    supernet=supernet,
    classes=inputs.classes,
  )
  return architecture


def _draw(
  workdir: pathlib.Path, inputs: searching.Inputs, architecture: Architecture
) -> None:
  """Draws the figures that are not there yet."""
  names = 'alphas.png', 'cost.png', 'architecture.png'
  if all((workdir / name).exists() for name in names):
    return
  rows = metrics_file.read(workdir)
  report.search_figures(workdir, rows, inputs.space, inputs.kept.limits)
  report.architecture_figure(workdir / 'architecture.png', architecture)


def main() -> None:
  compilation.keep(flags.FLAGS.compile_cache)
  workdir = pathlib.Path(flags.FLAGS.workdir).expanduser()
  config = cli.values(OPTIONS)
  config = presets.applied(config, cli.given(OPTIONS), presets.SEARCH)
  before = is_finished(workdir)
  run(config, workdir, cli.command('experiments.search'))
  if before:
    print('this search was finished before; nothing was computed again')
  record = space_lib.read_record(workdir / 'architecture.json')
  print('\n'.join(map(printable, outcome.lines(record))))
  for path in sorted(workdir.glob('*.json')) + sorted(workdir.glob('*.png')):
    print(f'wrote {path}')


if __name__ == '__main__':
  cli.define_workdir()
  compilation.define()
  cli.define(OPTIONS)
  cli.run(main, required=('workdir',))
