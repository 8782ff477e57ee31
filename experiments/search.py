"""Searches an architecture within limits, by gradient.

  python -m experiments.search --workdir=runs/search \\
    --dataset=fashion_mnist_5k --space=mobile_small --limit=macs=1.6M

writes `architecture.json`, `metrics.jsonl`, `checkpoints/` and figures into
the workdir. Started again after a kill it goes on where it was.
"""

import functools
import pathlib
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from absl import flags

from experiments import (
  cli,
  constraints,
  datasets,
  guards,
  loop,
  names,
  outcome,
  presets,
)
from experiments import recipe as recipes
from nasjax import (
  batch,
  data,
  derive,
  guard,
  optimize,
  relax,
  report,
  search,
)
from nasjax import space as space_lib
from nasjax.errors import InputError
from nasjax.space import Architecture, Space
from nasjax.train import cross_entropy

OPTIONS = {
  'preset': presets.option(presets.SEARCH),
  **datasets.OPTIONS,
  'space': ('mobile_small', f'{cli.one_of(names.SPACES)}, or module:function'),
  **constraints.OPTIONS,
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
  'seed': (0, 'of everything that is random'),
  'log_every': (10, 'steps between lines of metrics'),
  'checkpoint_every': (50, 'steps between checkpoints'),
}


def check_schedule(config: dict[str, Any]) -> None:
  """Raises InputError where the numbers of a schedule contradict each other."""
  counts = ('steps', 'log_every', 'checkpoint_every')
  cli.check_least(1, **{name: config[name] for name in counts})
  cli.check_least(0, seed=config['seed'])
  if not 0 <= config['warmup_steps'] <= config['steps']:
    raise InputError(
      f'warmup_steps is {config["warmup_steps"]}; with steps '
      f'{config["steps"]} it must be 0 to {config["steps"]}'
    )
  rates = ('learning_rate', 'alpha_learning_rate')
  temperatures = ('temperature', 'final_temperature')
  cli.check_positive(**{name: config[name] for name in temperatures + rates})
  for name in temperatures:
    if config[name] < np.finfo(np.float32).tiny:
      raise InputError(
        f'{name} is {config[name]}, which is 0 in single precision; it must be '
        'larger'
      )
  decays = ('weight_decay', 'alpha_weight_decay')
  cli.check_not_negative(**{name: config[name] for name in decays})
  recipes.of(config)


def temperature_schedule(config: dict[str, Any]) -> optax.Schedule:
  """Constant through the warm-up, then geometric to the final temperature."""
  return optax.exponential_decay(
    config['temperature'],
    transition_steps=max(1, config['steps'] - config['warmup_steps']),
    decay_rate=config['final_temperature'] / config['temperature'],
    transition_begin=config['warmup_steps'],
  )


class Inputs(NamedTuple):
  """What the flags of a search name.

  Attributes:
    space: what is chosen from, at the data set's sizes.
    train: the half of the training images that weights learn from.
    valid: the half that alphas learn from.
    batches: how a batch of either is made.
    relaxation: alphas to probabilities.
    temperature: of the relaxation, by the step.
    kept: what keeps the limits, and the limits.
    data_content: hash of the images, which may change under the same name.
    guarded: what keeps the search from collapsing.
  """

  space: Space
  train: data.Arrays
  valid: data.Arrays
  batches: batch.Batches
  relaxation: relax.Relaxed
  temperature: optax.Schedule
  kept: constraints.Kept
  data_content: str
  guarded: guards.Guarded


class Run(NamedTuple):
  """What a checkpoint holds.

  Attributes:
    search: where the search is.
    stop: what the rules that may stop it have seen.
  """

  search: search.State
  stop: Any

  @property
  def step(self) -> jax.Array:
    return self.search.step


def prepare(config: dict[str, Any]) -> Inputs:
  """Flags to objects; writes nothing.

  Raises:
    InputError: bad input.
  """
  check_schedule(config)
  relaxation = cli.lookup('relaxation', config['relax'], names.RELAXATIONS)
  make_space = names.space(config['space'])
  dataset = datasets.of(config, OPTIONS)
  train, valid = data.split(dataset.train, 0.5, seed=config['seed'])
  smaller = min(len(train.labels), len(valid.labels))
  batches = datasets.batches_of(
    dataset, config['batch_size'], smaller, config['cutout']
  )
  space = make_space(**datasets.sizes_of(dataset))
  names.check_image_size(space)
  kept = constraints.of(config, space)
  return Inputs(
    space=space,
    train=train,
    valid=valid,
    batches=batches,
    relaxation=relaxation,
    temperature=temperature_schedule(config),
    kept=kept,
    data_content=data.checksum(dataset),
    guarded=guards.of(config, space, relaxation),
  )


def alpha_optimizer(config: dict[str, Any]) -> optax.GradientTransformation:
  """Adam, whose rate falls over the steps of the alphas."""
  # To 0, so that the last alphas are no snapshot of a noisy gradient.
  rate = optax.cosine_decay_schedule(
    config['alpha_learning_rate'],
    max(1, config['steps'] - config['warmup_steps']),
  )
  return search.adam(rate, weight_decay=config['alpha_weight_decay'])


def build(config: dict[str, Any], inputs: Inputs) -> search.Search:
  """The search's pure functions, with the optimizers that the flags name."""
  recipe = recipes.of(config)
  return search.make(
    inputs.space,
    inputs.batches,
    inputs.kept.constraints,
    projection=inputs.kept.projection,
    weight_tx=recipe.tx(config['steps']),
    regulariser=functools.partial(
      optimize.decay, weight_decay=recipe.coupled_decay
    ),
    alpha_tx=alpha_optimizer(config),
    order=config['order'],
    neumann_terms=config['neumann_terms'],
    neumann_rate=config['neumann_rate'],
    relaxation=inputs.relaxation,
    temperature=inputs.temperature,
    guards=inputs.guarded.guards,
    loss=functools.partial(cross_entropy, smoothing=config['smoothing']),
    numerics=recipe.numerics,
  )


def take_steps(
  config: dict[str, Any], inputs: Inputs, workdir: pathlib.Path
) -> tuple[search.State, guard.Verdict | None]:
  """Takes all steps, or those that an earlier process left.

  Returns:
    The last state, and why it is the last, if a rule stopped the search.
  """
  parts = build(config, inputs)
  arrays = jax.device_put((inputs.train, inputs.valid))
  state = loop.initial(parts.init, jax.random.key(config['seed']), *arrays)
  law, temperature = inputs.relaxation.law, inputs.temperature
  # Through the warm-up alphas, and with them the expected costs, stay these.
  probs = law(state.alphas, temperature(state.step))
  start = {c.name: float(c(probs)) for c in inputs.kept.limits}
  rule = inputs.guarded.rule

  def extra(run):
    probs = law(run.search.alphas, temperature(run.step))
    return {'probs': probs, 'entropy': guard.entropy(probs)}

  with ThreadPoolExecutor() as pool:
    run = loop.run(
      workdir,
      Run(state, rule.init(state.alphas)),
      stepper(config, inputs.guarded, parts, pool, state, *arrays),
      steps=config['steps'],
      log_every=config['log_every'],
      checkpoint_every=config['checkpoint_every'],
      describe=lambda m: outcome.describe(inputs.kept.limits, {**start, **m}),
      name='search',
      extra=extra,
      stopped=lambda run: rule.verdict(run.stop) is not None,
    )
  return run.search, rule.verdict(run.stop)


def stepper(
  config: dict[str, Any],
  guarded: guards.Guarded,
  parts: search.Search,
  pool: Executor,
  state: search.State,
  train: data.Arrays,
  valid: data.Arrays,
) -> Callable[[Run, int], tuple[Run, dict[str, Any]]]:
  """`(run, step) -> (run, metrics)`: a step, measured and looked at.

  What it calls is compiled in `pool`: the alphas' program is ready when the
  warm-up, which does without it, has run.
  """
  compiled = functools.partial(pool.submit, loop.compiled)
  weight_step = compiled(parts.weight_step, state, train)
  alpha_step = compiled(parts.alpha_step, state, train, valid)
  if guarded.every is not None:
    eigenvalue = compiled(parts.eigenvalue, state, valid, donate=False)

  def advance(run, step):
    state, metrics = weight_step.result()(run.search, train)
    if step <= config['warmup_steps']:
      return Run(state, run.stop), metrics
    state, more = alpha_step.result()(state, train, valid)
    metrics |= more
    if guarded.measures(step):
      metrics['eigenvalue'] = eigenvalue.result()(state, valid)
    stop = guarded.rule.update(step, metrics, state.alphas, run.stop)
    return Run(state, stop), metrics

  return advance


def check_finite(state: search.State, config: dict[str, Any]) -> None:
  """Raises InputError where the search diverged."""
  if not all(np.isfinite(a).all() for a in loop.to_host(state.alphas).values()):
    raise InputError(
      'the search diverged: its alphas are not finite; lower --learning_rate '
      f'({config["learning_rate"]}) and give another --workdir'
    )


def returned(state: search.State, verdict: guard.Verdict) -> search.State:
  """With the alphas to derive from, and the step that they are of."""
  if verdict.alphas is None:
    return state
  # The step is that of the law's temperature, too.
  return state._replace(alphas=verdict.alphas, step=np.int32(verdict.step))


def run(
  config: dict[str, Any], workdir: str, command: str = ''
) -> Architecture:
  """Searches, derives, writes and draws; see the head of this module.

  Args:
    config: a value for every option of `OPTIONS`.
    workdir: where the run is kept.
    command: what was typed, for the record.

  Returns:
    The derived architecture.

  Raises:
    InputError: bad input; nothing was written then. Or the search diverged.
  """
  inputs = prepare(config)
  # A space of one's own may change under the same name.
  content = {
    'space_content': loop.fingerprint(inputs.space),
    'data_content': inputs.data_content,
  }
  workdir = loop.claim(workdir, {**config, **content})
  state, verdict = take_steps(config, inputs, workdir)
  stopped = None
  if verdict is not None:
    stopped = {'step': int(state.step), 'reason': verdict.reason}
    state = returned(state, verdict)
    stopped['returned_to'] = int(state.step)
  check_finite(state, config)
  space, limits = inputs.space, inputs.kept.limits
  # Of the law that the costs were of, which is not always a softmax.
  heat = inputs.temperature(state.step)
  logits = relax.logits(inputs.relaxation, state.alphas, heat)
  architecture = derive.within(space, logits, limits, fill=config['fill'])
  outcome.save(workdir, architecture, logits, limits, config, command, stopped)
  report.search_figures(workdir, loop.read_metrics(workdir), space, limits)
  report.architecture_figure(workdir / 'architecture.png', architecture)
  return architecture


def main() -> None:
  workdir = pathlib.Path(flags.FLAGS.workdir)
  config = cli.values(OPTIONS)
  config = presets.applied(config, cli.given(OPTIONS), presets.SEARCH)
  run(config, workdir, cli.command('experiments.search'))
  record = space_lib.read_record(workdir / 'architecture.json')
  print('\n'.join(outcome.lines(record)))
  for path in sorted(workdir.glob('*.json')) + sorted(workdir.glob('*.png')):
    print(f'wrote {path}')


if __name__ == '__main__':
  cli.define_workdir()
  cli.define(OPTIONS)
  cli.run(main, required=('workdir',))
