"""Searches an architecture within limits, by gradient.

  python -m experiments.search --workdir=runs/search \\
    --dataset=fashion_mnist_5k --space=mobile_small --limit=macs=1.6M

writes `architecture.json`, `metrics.jsonl`, `checkpoints/` and figures into
the workdir. Started again after a kill it goes on where it was.
"""

import pathlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from absl import flags

from experiments import cli, constraints, datasets, loop, names
from nasjax import batch, data, derive, relax, report, search
from nasjax import space as space_lib
from nasjax import train as nn_train
from nasjax.errors import InputError
from nasjax.space import Architecture, Space, argmax, fix

OPTIONS = {
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
  'learning_rate': (0.05, "of the weights: SGD's peak"),
  'alpha_learning_rate': (0.05, "of the alphas: Adam's, at the start"),
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
  """

  space: Space
  train: data.Arrays
  valid: data.Arrays
  batches: batch.Batches
  relaxation: relax.Relaxed
  temperature: optax.Schedule
  kept: constraints.Kept
  data_content: str


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
  )


def build(config: dict[str, Any], inputs: Inputs) -> search.Search:
  """The search's pure functions, with the optimizers that the flags name."""
  # To 0, so that the last alphas are no snapshot of a noisy gradient.
  alpha_rate = optax.cosine_decay_schedule(
    config['alpha_learning_rate'],
    max(1, config['steps'] - config['warmup_steps']),
  )
  return search.make(
    inputs.space,
    inputs.batches,
    inputs.kept.constraints,
    projection=inputs.kept.projection,
    weight_tx=nn_train.sgd(config['learning_rate'], config['steps']),
    alpha_tx=optax.adam(alpha_rate),
    relaxation=inputs.relaxation,
    temperature=inputs.temperature,
  )


def take_steps(
  config: dict[str, Any], inputs: Inputs, workdir: pathlib.Path
) -> search.State:
  """Takes all steps, or those that an earlier process left; the last state."""
  parts = build(config, inputs)
  train, valid = jax.device_put((inputs.train, inputs.valid))
  key = jax.random.key(config['seed'])
  state = loop.initial(parts.init, key, train, valid)
  law, temperature = inputs.relaxation.law, inputs.temperature
  # Through the warm-up alphas, and with them the expected costs, stay these.
  probs = law(state.alphas, temperature(state.step))
  start = {c.name: float(c(probs)) for c in inputs.kept.limits}
  with ThreadPoolExecutor() as pool:
    # The alphas' program compiles while the warm-up already runs.
    weight_step = pool.submit(loop.compiled, parts.weight_step, state, train)
    alpha_step = pool.submit(
      loop.compiled, parts.alpha_step, state, train, valid
    )

    def advance(state, step):
      state, metrics = weight_step.result()(state, train)
      if step > config['warmup_steps']:
        state, more = alpha_step.result()(state, train, valid)
        metrics |= more
      return state, metrics

    return loop.run(
      workdir,
      state,
      advance,
      steps=config['steps'],
      log_every=config['log_every'],
      checkpoint_every=config['checkpoint_every'],
      describe=lambda m: describe(inputs.kept.limits, {**start, **m}),
      name='search',
      extra=lambda s: {'probs': law(s.alphas, temperature(s.step))},
    )


def check_finite(state: search.State, config: dict[str, Any]) -> None:
  """Raises InputError where the search diverged."""
  if not all(np.isfinite(a).all() for a in loop.to_host(state.alphas).values()):
    raise InputError(
      'the search diverged: its alphas are not finite; lower --learning_rate '
      f'({config["learning_rate"]}) and give another --workdir'
    )


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
  state = take_steps(config, inputs, workdir)
  check_finite(state, config)
  space, limits = inputs.space, inputs.kept.limits
  # Of the law that the costs were of, which is not always a softmax.
  heat = inputs.temperature(state.step)
  logits = relax.logits(inputs.relaxation, state.alphas, heat)
  architecture = derive.within(space, logits, limits, fill=config['fill'])
  save(workdir, architecture, logits, limits, config, command)
  report.search_figures(workdir, loop.read_metrics(workdir), space, limits)
  report.architecture_figure(workdir / 'architecture.png', architecture)
  return architecture


def describe(limits: constraints.Limits, metrics: dict[str, Any]) -> str:
  """What the progress bar says: losses, and expected costs against limits."""
  words = [f'train {metrics["train_loss"]:.3f}']
  if 'valid_loss' in metrics:
    words.append(f'valid {metrics["valid_loss"]:.3f}')
  for c, limit in limits.items():
    if c.name in metrics:
      expected = report.si(metrics[c.name])
      words.append(f'{c.name} {expected} of {report.si(limit)}')
  return ', '.join(words)


def resources(
  architecture: Architecture,
  plain: Architecture,
  limits: constraints.Limits,
) -> dict[str, dict[str, Any]]:
  """What the derived network costs in every resource, and under which limit.

  Args:
    architecture: what was derived.
    plain: the most probable one, limits aside.
    limits: of any costs of their space.
  """
  # Two networks are traced, not their space: widths multiply in that one.
  derived, probable = (fix(a.space, a) for a in (architecture, plain))
  limit = {c.name: most for c, most in limits.items()}
  found = {}
  for name, make in names.COSTS.items():
    own = make(derived)
    found[name] = {
      'cost': own.constant,
      'limit': limit.get(name),
      'unit': own.unit,
      'argmax_cost': make(probable).constant,
    }
  return found


def save(workdir, architecture, logits, limits, config, command) -> None:
  """Writes `architecture.json`, with the record of where it came from.

  What it calls alphas are `logits`: from them it was derived, and from them
  others are for other limits.
  """
  plain = argmax(architecture.space, logits)
  certificate = derive.certificate(architecture, logits, limits)
  kept = {name: row._asdict() for name, row in certificate.kept.items()}
  # What filling gives up, next to the most probable within the limits.
  unfilled = derive.within(architecture.space, logits, limits)
  architecture.save(
    workdir / 'architecture.json',
    resources=resources(architecture, plain, limits),
    certificate={
      **certificate._asdict(),
      'unfilled_log_prob': derive.log_prob(unfilled, logits),
      'kept': kept,
    },
    command=command,
    seed=config['seed'],
    versions=loop.versions(),
    alphas=loop.to_host(logits),
  )


def said(row: dict[str, Any], kept: dict[str, Any] | None) -> str:
  """A resource of the derived network, in words."""
  if kept is None:
    return f'{row["cost"]} (argmax: {row["argmax_cost"]})'
  over = kept['argmax_excess']
  against = f'over by {over:.15g}' if over else 'within'
  return (
    f'{row["cost"]} of {kept["limit"]:.15g}, {row["cost"] / kept["limit"]:.1%} '
    f'(argmax: {row["argmax_cost"]}, {against})'
  )


def main() -> None:
  workdir = pathlib.Path(flags.FLAGS.workdir)
  architecture = run(
    cli.values(OPTIONS), workdir, cli.command('experiments.search')
  )
  record = space_lib.read_record(workdir / 'architecture.json')
  certificate = record['certificate']
  print(f'architecture: {" ".join(architecture.choice)}')
  for name, row in record['resources'].items():
    print(f'{name}: {said(row, certificate["kept"].get(name))}')
  print(
    f'log-probability: {certificate["log_prob"]:.2f} (most probable within the '
    f'limits, however little it uses: {certificate["unfilled_log_prob"]:.2f}; '
    f'of all: {certificate["argmax_log_prob"]:.2f})'
  )
  for path in sorted(workdir.glob('*.json')) + sorted(workdir.glob('*.png')):
    print(f'wrote {path}')


if __name__ == '__main__':
  cli.define_workdir()
  cli.define(OPTIONS)
  cli.run(main, required=('workdir',))
