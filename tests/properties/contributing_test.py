"""Every recipe of CONTRIBUTING.md holds the contract of what it adds."""

import itertools
import math
import pathlib
import re

import chex
import jax
import numpy as np
import pytest

from nasjax import cost, count, ops, relax, run, space
from nasjax.supernet import Supernet

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXT = (ROOT / 'CONTRIBUTING.md').read_text()
LONGEST = 10  # Lines of code of a function; imports and blank lines aside.


@pytest.fixture(scope='module')
def made():
  """What the recipes define, in the order of the page."""
  names = {}
  for block in re.findall(r'```python\n(.*?)```', TEXT, re.DOTALL):
    exec(block, names)
  return names


def _alphas(searched, seed=0):
  rng = np.random.default_rng(seed)
  return {
    name: jax.numpy.asarray(rng.normal(size=len(options)), 'float32')
    for name, options in searched.choices.items()
  }


def test_recipes_are_short():
  for block in re.findall(r'```python\n(.*?)```', TEXT, re.DOTALL):
    for part in block.split('\n\n\n'):
      lines = [n for n in part.splitlines() if n and 'import' not in n]
      assert len(lines) <= LONGEST, part


def test_the_data_source_keeps_classes_and_splits_apart(made):
  dataset = made['stripes']()
  assert dataset.num_train + dataset.num_test == 200
  assert dataset.class_names == ('noise', 'stripes')
  bright = dataset.test.images[:, ::2].mean((1, 2, 3)) > 127
  np.testing.assert_array_equal(bright, dataset.test.labels == 1)


def test_the_space_counts_as_its_built_networks(made):
  searched = made['narrow']()
  macs = cost.macs(searched)
  assert math.prod(map(len, searched.choices.values())) == 18
  for place in (0, 1, -1):
    architecture = space.Architecture(
      searched, tuple(tuple(o)[place] for o in searched.choices.values())
    )
    fixed = space.fix(searched, architecture)
    net = Supernet(fixed, ops.Numerics(lowering='native'))
    images = jax.ShapeDtypeStruct((1, 8, 8, 1), 'float32')
    variables = count.module_shapes(net, images, {}, train=False)
    traced = count.macs(net, variables, images, {}, train=False)
    assert traced == macs.exact(architecture)


@pytest.mark.parametrize('temperature', [0.3, 1.0, 5.0])
def test_the_relaxation_is_a_distribution_with_its_logits(made, temperature):
  alphas = _alphas(made['narrow']())
  smoothed = made['SMOOTHED']
  probs = jax.jit(smoothed.probs)(alphas, temperature, None)  # Data.
  chex.assert_trees_all_equal_shapes_and_dtypes(probs, alphas)
  law = relax.softmax(relax.logits(smoothed, alphas, temperature))
  for name, p in probs.items():
    np.testing.assert_allclose(p.sum(), 1, rtol=1e-6)
    assert p.min() >= 0.1 / p.size
    assert p.argmax() == alphas[name].argmax()
    np.testing.assert_allclose(law[name], p, rtol=1e-5)


def test_the_constraint_keeps_a_limit(made):
  searched = made['narrow']()
  macs = cost.macs(searched)
  low, high = macs.bounds()
  limit = (low + high) / 2
  constraint = made['quadratic'](limit, 9.0)
  state = constraint.init()

  def loss(alphas):
    expected = macs(relax.softmax(alphas))
    wanted = -expected / high  # The task wants the largest network.
    return constraint.update(wanted, expected, expected, state)[0]

  def step(alphas, _):
    slopes = jax.grad(loss)(alphas)
    return {name: a - slopes[name] for name, a in alphas.items()}, None

  start = _alphas(searched)
  alphas, _ = jax.lax.scan(step, start, None, length=1000)
  assert macs(relax.softmax(start)) < limit
  # The slopes cancel at 2 s (c / L - 1) / L = 1 / high.
  expected = float(macs(relax.softmax(alphas)))
  assert expected == pytest.approx(limit * (1 + limit / 18 / high), rel=1e-3)
  within, _ = constraint.update(1.0, limit / 2, limit / 2, state)
  assert float(within) == 1.0


def test_the_cost_is_the_mean_over_all_architectures(made, x64):
  searched = made['narrow']()
  energy = made['energy'](searched)
  alphas = {n: a.astype('float64') for n, a in _alphas(searched).items()}
  probs = relax.softmax(alphas)
  mean = 0.0
  for choice in itertools.product(*searched.choices.values()):
    chosen = zip(searched.choices.items(), choice, strict=True)
    weights = [probs[n][[*options].index(op)] for (n, options), op in chosen]
    architecture = space.Architecture(searched, choice)
    mean += math.prod(map(float, weights)) * energy.exact(architecture)
  assert float(energy(probs)) == pytest.approx(mean, rel=1e-12)
  parts = cost.macs(searched), cost.params(searched)
  architecture = space.argmax(searched, alphas)
  macs, params = (part.exact(architecture) for part in parts)
  slots = len(searched.slots)  # Each is rounded down.
  rest = macs / 250 + params - energy.exact(architecture)
  assert 0 <= rest < slots


@pytest.mark.slow
def test_a_search_takes_them_all(made):
  dataset = made['stripes']()
  searched = made['narrow'](**dataset.sizes)
  energy = made['energy'](searched)
  low, high = energy.bounds()
  found = run.search(
    searched,
    dataset,
    limits={energy: (low + high) // 2},
    relax=made['SMOOTHED'],
    constraint=made['keep'],
    steps=6,
    warmup_steps=3,
    log_every=1,
    batch_size=16,
    progress=False,
  )
  assert energy.exact(found.architecture) <= (low + high) // 2
  assert found.network.num_classes == 2
  assert low <= found.metrics[-1]['energy'] <= high
