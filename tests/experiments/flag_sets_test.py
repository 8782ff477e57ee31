"""Random flags: a script refuses them in one line, or would begin to run.

`FLAG_SETS` says how many are drawn for all scripts together, `SEED` which.
What is tested is all that happens before the first step: nothing is trained.
"""

import contextlib
import os
import random
import signal

import jax
import pytest

from experiments import count, search, train
from experiments.flags import cli
from experiments.sweep import sweep_flags
from nasjax.errors import InputError
from nasjax.run import search_loop, training
from tests.experiments.told_cases import (
  count_run,
  search_run,
  sweep_prepare,
  train_as_told,
)

SETS = int(os.environ.get('FLAG_SETS', '25'))
SEED = int(os.environ['SEED'])

_INTEGERS = [-1, 0, 1, 2, 3, 7, 28, 2**31 - 1, 2**31, 2**32, 2**63, 10**20]
_FLOATS = [-1.0, 0.0, 1e-45, 1e-3, 0.5, 0.98, 1.0, 3.0, 1e9, 1e38, 1e300]
_FLOATS += [float('nan'), float('inf'), float('-inf')]
_TEXTS = ['', '0', '-1', 'nan', '1e400', '1M', '0:1,9:0', '9:0,0:1', ':', ',']
_TEXTS += ['../x', '/', r'$\frac$', '<script>', 'none', 'é\x00', 'a' * 300]
_LIMITS = ['macs=60k', 'macs=1', 'macs=1e30', 'params=2000', 'memory=9k']
_LIMITS += ['macs=nan', 'macs=', '=1', 'energy=1', 'macs=-5', 'macs=1e-300']

_SEARCH = {'space': 'tiny', 'limit': ['macs=60k'], 'batch_size': 16}
_TRAIN = {'network': 'mobilenet_v2', 'width': 0.1, 'batch_size': 50}
_SWEEP = {'space': 'tiny', 'limits': 'macs=50k,60k', 'zoo': ''}
_COUNT = {'network': 'mobilenet_v2', 'image_size': 32}
# What would only be slow, or read what another test makes.
_LEFT = {'dataset', 'data_dir', 'remat', 'search_remat', 'list', 'table'}


class _ReachedError(Exception):
  """The first step would have been taken."""


def _draw(options, base, rng):
  """A value for every option: the small run's, but for a few."""
  config = cli.defaults(options) | base
  names = sorted(set(options) - _LEFT)
  for name in rng.sample(names, rng.randint(1, 3)):
    default = options[name][0]
    kind = default if isinstance(default, type) else type(default)
    if kind is bool:
      value = not default
    elif kind is list:
      value = rng.choices(_LIMITS, k=rng.randint(0, 3))
    else:
      # Names that there are stand in the help text.
      words = options[name][1].replace(',', ' ').split()
      texts = _TEXTS + words[:20]
      value = rng.choice({int: _INTEGERS, float: _FLOATS}.get(kind, texts))
    config[name] = value
  return config


def _searched(config, workdir):
  search_run(config, workdir)


def _trained(config, workdir):
  train_as_told(config, workdir, '')


def _swept(config, workdir):
  sweep_prepare(config, workdir, '')


def _counted(config, workdir):
  count_run(config)


SCRIPTS = {
  'search': (search.OPTIONS, _SEARCH, _searched),
  'train': (train.OPTIONS, _TRAIN, _trained),
  'sweep': (sweep_flags.OPTIONS, _SWEEP, _swept),
  'count': (count.OPTIONS, _COUNT, _counted),
}


@pytest.fixture(autouse=True)
def before_the_first_step(monkeypatch):
  """Steps are traced on shapes, and not taken."""

  def search_traced(inputs, parts, workdir, rows, compiled=None):
    arrays = inputs.train, inputs.valid
    key = jax.random.key(inputs.config.seed)
    state = jax.eval_shape(parts.init, key, *arrays)
    state, _ = jax.eval_shape(parts.weight_step, state, arrays[0])
    jax.eval_shape(parts.alpha_step, state, *arrays)
    raise _ReachedError

  def training_traced(workdir, network, dataset, batches, recipe, **rest):
    built = training.build(network, dataset, batches, recipe, rest['taught'])
    key = jax.random.key(rest['seed'])
    state = jax.eval_shape(built.parts.init, key, dataset.train)
    jax.eval_shape(built.parts.step, state, dataset.train)
    raise _ReachedError

  monkeypatch.setattr(search_loop, 'run', search_traced)
  monkeypatch.setattr(training, 'run', training_traced)


@contextlib.contextmanager
def _at_most(seconds):
  def late(*_):
    raise TimeoutError(f'longer than {seconds} s')

  before = signal.signal(signal.SIGALRM, late)
  signal.alarm(seconds)
  try:
    yield
  finally:
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize('i', range(SETS))
def test_flags_are_refused_in_a_line_or_could_run(i, tmp_path, monkeypatch):
  rng = random.Random(f'{SEED} {i}')
  name = list(SCRIPTS)[i % len(SCRIPTS)]
  options, base, run = SCRIPTS[name]
  config = _draw(options, base, rng)
  given = {k: v for k, v in config.items() if v != cli.defaults(options)[k]}
  print(f'SEED={SEED} FLAG_SETS={SETS}, {i}: {name} {given}')
  monkeypatch.chdir(tmp_path)
  workdir = tmp_path / 'run'
  refusal = None
  with _at_most(60):
    try:
      run(config, workdir)
      assert name in {'count', 'sweep'}, 'steps were taken'
    except InputError as e:
      refusal = str(e)
    except _ReachedError:
      pass
  if refusal is not None:
    print(refusal)
    assert '\n' not in refusal
    assert not workdir.exists()  # Refused before anything was written.


@pytest.mark.parametrize('script', SCRIPTS)
def test_help_reads_without_the_name_of_the_flag(script):
  # "of the weights, at its peak" says nothing to a reader of `help(Recipe)`.
  prepositions = 'above at before by from in of to when where with'.split()
  for name, (_, text) in SCRIPTS[script][0].items():
    first = text.removeprefix('each search: ')
    assert first.split()[0] not in prepositions, f'--{name}: {text}'
    assert len(text.split()) > 2, f'--{name}: {text}'
