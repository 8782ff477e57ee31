"""A space that is no chain, with choices of every shape, all the way.

Its answers are held to enumeration: it has 54 architectures. Its blocks have no
closed forms, so that costs come from traced programs.
"""

import collections
import dataclasses
import functools
import itertools
import json
import math

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import constraint, cost, count, derive, relax, space
from nasjax.errors import InputError
from nasjax.ops import Numerics
from nasjax.space import Architecture, Choice, Table
from tests.conftest import refused

INPUTS, HIDDEN, BRANCH = (3, 6), (4, 5, 7), (1, 2, 9)
CLASSES = 3


@dataclasses.dataclass(frozen=True)
class Dense:
  """A block of the space."""

  features: int

  def module(self, numerics):
    return _Dense(self.features)


class _Dense(nn.Module):
  features: int

  @nn.compact
  def __call__(self, x, train):
    return nn.Dense(self.features)(x)


@dataclasses.dataclass(frozen=True)
class Branches:
  """Two branches of a width of their own on a hidden layer, and a shortcut."""

  name: str = 'branches'
  made: tuple[int, ...] = ()

  @property
  def choices(self):
    if self.made:
      return {}
    return {
      'hidden': Choice(tuple(map(str, HIDDEN))),
      'inputs': Choice(tuple(map(str, INPUTS)), drawn=True),
      'branch': Choice(tuple(map(str, BRANCH)), shape=(2,)),
    }

  def network(self, numerics=Numerics()):  # noqa: B008
    hidden, inputs, *branches = self.made
    return _Network(
      HIDDEN[hidden], INPUTS[inputs], tuple(BRANCH[i] for i in branches)
    )

  def search_network(self, numerics=Numerics()):  # noqa: B008
    return self.network(numerics)

  def fix(self, architecture):
    return dataclasses.replace(self, made=architecture.indices)

  def tables(self, measure):
    one, two = ('branch', (0,)), ('branch', (1,))
    stem = _table(
      ('hidden', 'inputs'),
      (HIDDEN, INPUTS),
      lambda h, n: measure(Dense(h), (1, n)),
    )
    branches = [
      _table(
        (axis, 'hidden'),
        (BRANCH, HIDDEN),
        lambda w, h: measure(Dense(w), (1, h)),
      )
      for axis in (one, two)
    ]
    head = _table(
      (one, 'inputs', two),
      (BRANCH, INPUTS, BRANCH),
      lambda v, n, w: measure(Dense(CLASSES), (1, v + n + w)),
    )
    return (stem, *branches, head)


class _Network(nn.Module):
  hidden: int
  inputs: int
  branches: tuple[int, ...]

  @nn.compact
  def __call__(self, images, probs, *, train, index=None):
    x = images[:, : self.inputs]
    h = nn.Dense(self.hidden)(x)
    joined = [x, *(nn.Dense(width)(h) for width in self.branches)]
    return nn.Dense(CLASSES)(jnp.concatenate(joined, -1))


def _table(axes, options, number):
  values = tuple(itertools.starmap(number, itertools.product(*options)))
  return Table(axes, tuple(map(len, options)), values)


SPACE = Branches()
AXES = space.axes(SPACE.choices)
MACS, PARAMS = cost.macs(SPACE), cost.params(SPACE)
MEMORY = cost.memory(SPACE)
EVERY = [
  Architecture.from_indices(SPACE, indices)
  for indices in itertools.product(*(range(len(o)) for o in AXES.values()))
]


def _alphas(seed, scale=1.0):
  return space.init_alphas(SPACE, jax.random.key(seed), scale)


def _fits(a, limits):
  return all(c.exact(a) <= limit for c, limit in limits.items())


def _limits(rng):
  """One to three limits that an architecture just keeps."""
  kept = EVERY[rng.integers(len(EVERY))]
  costs = [MACS, PARAMS, MEMORY]
  picked = rng.permutation(3)[: rng.integers(1, 4)]
  return {costs[i]: costs[i].exact(kept) for i in picked}


# --- Architectures -----------------------------------------------------------


def test_one_hot_and_argmax_are_inverse():
  for a in EVERY:
    probs = space.one_hot(a)
    chex.assert_shape(probs['branch'], (2, 3))
    assert all((p.sum(-1) == 1).all() for p in probs.values())
    assert space.argmax(SPACE, probs) == a
    assert Architecture.from_indices(SPACE, a.indices) == a
    assert a.index == dict(zip(AXES, a.indices, strict=True))


def test_names_are_nested_by_shape_and_read_back():
  a = Architecture(SPACE, ('5', '6', '9', '1'))
  assert a.named == {'hidden': '5', 'inputs': '6', 'branch': ['9', '1']}
  for a in EVERY:
    named = json.loads(json.dumps(a.named))
    assert Architecture.from_named(SPACE, named) == a
  for wrong in ('9', ['9'], ['9', '1', '1'], [['9', '1']], ['9', '4']):
    with pytest.raises(InputError):
      Architecture.from_named(SPACE, {**a.named, 'branch': wrong})
  with pytest.raises(InputError):
    Architecture.from_named(SPACE, {'hidden': '5', 'inputs': '6'})


def test_names_of_two_axes_are_lists_of_lists():
  choice = Choice(('a', 'b'), shape=(2, 3))
  grid = dataclasses.make_dataclass('Grid', [('name', str), ('choices', dict)])
  s = grid('grid', {'edge': choice})
  a = Architecture.from_indices(s, (0, 1, 1, 0, 0, 1))
  assert a.named == {'edge': [['a', 'b', 'b'], ['a', 'a', 'b']]}
  assert Architecture.from_named(s, a.named) == a
  assert space.argmax(s, space.one_hot(a)) == a
  with pytest.raises(InputError):
    Architecture.from_named(s, {'edge': [['a'] * 2] * 3})


def test_what_is_no_option_is_named_with_its_place():
  with pytest.raises(InputError, match=r"'4' is no option of branch\[1\]"):
    Architecture(SPACE, ('5', '6', '9', '4'))
  with pytest.raises(InputError, match='has 4 choices, got 3'):
    Architecture(SPACE, ('5', '6', '9'))


def test_a_space_of_your_own_is_not_written(tmp_path):
  path = tmp_path / 'architecture.json'
  refused("'branches' is a Branches, which no file", EVERY[0].save, path)
  assert not path.exists()


# --- Costs -------------------------------------------------------------------


def test_exact_costs_are_those_of_the_built_network():
  image = jax.ShapeDtypeStruct((1, max(INPUTS)), jnp.float32)
  for a in EVERY[::5]:
    fixed = space.fix(SPACE, a)
    net = fixed.network()
    key = jax.eval_shape(jax.random.key, 0)
    apply = functools.partial(net.apply, probs={}, train=False)
    init = functools.partial(net.init, probs={}, train=False)
    variables = jax.eval_shape(init, key, image)
    assert MACS.exact(a) == count.macs(apply, variables, image)
    assert PARAMS.exact(a) == count.params(variables)


@pytest.mark.parametrize('c', [MACS, PARAMS, MEMORY], ids=lambda c: c.name)
def test_bounds_are_the_extremes_of_all(c):
  costs = [c.exact(a) for a in EVERY]
  assert c.bounds() == (min(costs), max(costs))
  assert min(costs) < max(costs)
  for a in EVERY[::7]:
    assert float(c(space.one_hot(a))) == c.exact(a)


def test_the_cost_given_an_option_is_that_of_its_architectures():
  for axis, options in AXES.items():
    for i in range(len(options)):
      costs = [PARAMS.exact(a) for a in EVERY if a.index[axis] == i]
      given = PARAMS.given(axis, i)
      assert given.bounds() == (min(costs), max(costs))
      assert all(axis not in table.axes for table in given.tables)


def _by_enumeration(c, alphas, weight=lambda a: 1.0):
  probs = space.rows(relax.softmax(alphas))
  return sum(
    weight(a)
    * c.exact(a)
    * math.prod(probs[axis][i] for axis, i in a.index.items())
    for a in EVERY
  )


@pytest.mark.parametrize('c', [MACS, PARAMS], ids=lambda c: c.name)
@pytest.mark.parametrize('seed', range(2))
def test_expected_cost_is_the_mean_over_all(x64, c, seed):
  alphas = _alphas(seed)
  found = float(c(relax.softmax(alphas)))
  assert found == pytest.approx(float(_by_enumeration(c, alphas)), rel=1e-12)


@pytest.mark.quick_every(2)
@pytest.mark.parametrize('temperature', [0.5, 2.0])
def test_gradient_is_the_closed_form_and_finite_differences(x64, temperature):
  alphas = _alphas(3)
  expected = lambda a: MACS(relax.softmax(a, temperature))  # noqa: E731
  found = space.rows(jax.grad(expected)(alphas))
  hot = {name: a / temperature for name, a in alphas.items()}
  probs = space.rows(relax.softmax(hot))
  mean = _by_enumeration(MACS, hot)
  for axis, p in probs.items():
    for j in range(len(p)):
      # E[cost; option j] / p_j is the expectation given the option.
      both = _by_enumeration(MACS, hot, lambda a: a.index[axis] == j)  # noqa: B023
      closed = p[j] * (both / p[j] - mean) / temperature
      assert found[axis][j] == pytest.approx(float(closed), abs=1e-9)
  h = 1e-5
  for name, array in alphas.items():
    for place in np.ndindex(array.shape):
      up = {**alphas, name: array.at[place].add(h)}
      down = {**alphas, name: array.at[place].add(-h)}
      slope = (expected(up) - expected(down)) / (2 * h)
      axis = (name, place[:-1]) if place[:-1] else name
      np.testing.assert_allclose(found[axis][place[-1]], slope, atol=1e-6)


def test_a_table_of_ones_own_goes_by_name_or_by_single_choice():
  numbers = {
    'hidden': dict.fromkeys('457', 0),
    'inputs': dict.fromkeys('36', 0),
    'branch': {'1': 1, '2': 2, '9': 9},
  }
  price = cost.table(SPACE, 'price', 'EUR', numbers)
  a = Architecture(SPACE, ('5', '6', '9', '2'))
  assert price.exact(a) == 11
  other = {**numbers, ('branch', (1,)): {'1': 10, '2': 20, '9': 90}}
  assert cost.table(SPACE, 'price', 'EUR', other).exact(a) == 29
  del other['branch']
  refused(
    r'lacks branch/1, branch/2, branch/9$', cost.table, SPACE, 'p', 'u', other
  )
  other['branch', (0,)] = {'1': 5, '2': 5, '9': 5}
  assert cost.table(SPACE, 'price', 'EUR', other).exact(a) == 25
  other['branch', (2,)] = {'1': 5}
  refused(r'does not have: branch\[2\]/1', cost.table, SPACE, 'p', 'u', other)
  other.pop(('branch', (2,)))
  other['branch', (0,)] = {'1': -5, '2': 5, '9': 5}
  refused(r'-5 at branch\[0\]/1', cost.table, SPACE, 'p', 'u', other)


def test_a_cost_of_another_space_is_refused_without_image_sizes():
  other = dataclasses.replace(SPACE, name='others')
  a = Architecture.from_indices(other, EVERY[0].indices)
  for call in (
    lambda: MACS.exact(a),
    lambda: derive.within(other, _alphas(0), {MACS: 100}),
    lambda: derive.uses(a, {MACS: 100}, 0.5),
    lambda: derive.pareto(other, _alphas(0), MACS),
  ):
    with pytest.raises(ValueError, match="of 'branches', not of 'others'"):
      call()


# --- Relaxations and constraints ---------------------------------------------

RELAXED = {
  name: getattr(relax, name)
  for name in (
    'SOFTMAX GUMBEL_SOFTMAX STRAIGHT_THROUGH REINMAX GDAS BINARY_GATES '
    'DIRICHLET SPARSEMAX PATHS'
  ).split()
}
every_relaxed = pytest.mark.parametrize(
  'relaxed', RELAXED.values(), ids=RELAXED.keys()
)


@every_relaxed
def test_rows_of_a_shape_are_drawn_independently(relaxed):
  """Their joint mean is the product of the means, which is the distribution."""
  alphas = {'branch': jnp.array([[0.0, 1.0], [0.5, -1.0]])}
  keys = jax.random.split(jax.random.key(0), 4000)
  draw = lambda k: relax.draw(relaxed.probs, alphas, 1.0, k).probs['branch']  # noqa: E731
  found = np.asarray(jax.jit(jax.vmap(draw))(keys))
  np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-5)
  first, second = found[:, 0], found[:, 1]
  joint = np.einsum('ni,nj->ij', first, second) / len(keys)
  np.testing.assert_allclose(
    joint, np.outer(first.mean(0), second.mean(0)), atol=0.02
  )
  if relaxed is not relax.GUMBEL_SOFTMAX:  # Its mean has no closed form.
    mean = relaxed.distribution(alphas, 1.0, None)['branch']
    np.testing.assert_allclose(found.mean(0), mean, atol=0.03)


@pytest.mark.quick_every(4)
@every_relaxed
def test_every_single_choice_has_a_gradient_of_the_cost(relaxed):
  assert relax.is_sampled(relaxed, SPACE.choices) == (
    relaxed in (relax.GDAS, relax.BINARY_GATES, relax.PATHS)
  )
  alphas = _alphas(1)
  expected = lambda a: MACS(relaxed.distribution(a, 1.0, None))  # noqa: E731
  value, slopes = jax.value_and_grad(expected)(alphas)
  low, high = MACS.bounds()
  assert low < value < high
  for slope in space.rows(slopes).values():
    assert (np.abs(slope) > 0).sum() >= 2


def test_a_relaxation_is_asked_with_the_shapes_of_alphas():
  asked = []

  def seen(alphas, temperature, key):
    asked.append({name: a.shape for name, a in alphas.items()})
    return relax.softmax(alphas)

  relax.is_sampled(relax.Relaxed(seen, seen), SPACE.choices)
  shapes = {name: a.shape for name, a in _alphas(0).items()}
  assert asked == [shapes]
  assert shapes['branch'] == (2, 3)


def test_projection_meets_both_limits():
  alphas = _alphas(2)
  start = [float(c(relax.softmax(alphas))) for c in (MACS, PARAMS)]
  limits = [0.8 * start[0], 0.85 * start[1]]
  keep = constraint.project([MACS, PARAMS], limits)
  found, _ = keep.update(alphas, relax.softmax, keep.init())
  chex.assert_trees_all_equal_shapes_and_dtypes(found, alphas)
  ratios = [
    float(c(relax.softmax(found))) / limit
    for c, limit in zip((MACS, PARAMS), limits, strict=True)
  ]
  assert max(ratios) == pytest.approx(1, abs=1e-3)


def test_a_penalty_pushes_along_the_gradient_of_the_cost():
  alphas = _alphas(4)
  expected = lambda a: MACS(relax.softmax(a))  # noqa: E731
  value, slopes = jax.value_and_grad(expected)(alphas)
  limit = 0.5 * float(value)
  keep = constraint.hinge(limit=limit, strength=3.0)

  def loss(a):
    return keep.update(0.0, expected(a), expected(a), keep.init())[0]

  pushed = jax.grad(loss)(alphas)
  wanted = jax.tree.map(lambda slope: 3.0 / limit * slope, slopes)
  chex.assert_trees_all_close(pushed, wanted, rtol=1e-5)


# --- Deriving ----------------------------------------------------------------


@pytest.mark.quick_every(3)
@pytest.mark.parametrize('fill', [0.0, 0.9, 1.0])
def test_the_derived_one_is_the_best_of_all(fill):
  rng = np.random.default_rng(int(10 * fill))
  filled = 0
  for seed in range(25):
    alphas, limits = _alphas(seed), _limits(rng)
    score = functools.partial(derive.log_prob, alphas=alphas)
    allowed = [a for a in EVERY if _fits(a, limits)]
    if not derive.uses(max(allowed, key=score), limits, fill):
      full = [a for a in allowed if derive.uses(a, limits, fill)]
      filled += bool(full)
      allowed = full or allowed
    found = derive.solution(SPACE, alphas, limits, fill=fill)
    assert found.architecture in allowed
    best = max(map(score, allowed))
    assert score(found.architecture) == pytest.approx(best, abs=1e-9)
    assert (found.gap, found.fill_open) == (0.0, False)
    kept = derive.certificate(found.architecture, alphas, limits, fill=fill)
    plain = space.argmax(SPACE, alphas)
    assert kept.argmax_log_prob == max(map(score, EVERY)) == score(plain)
    assert kept.log_prob == score(found.architecture)
    for c, limit in limits.items():
      slack = limit - c.exact(found.architecture)
      assert kept.kept[c.name].slack == slack >= 0
  assert bool(filled) == bool(fill)


def test_limits_that_exclude_each_other_name_what_each_can_be():
  low = MACS.bounds()[0]
  numbers = {
    name: {o: 100 - int(o) for o in choice}
    for name, choice in SPACE.choices.items()
  }
  price = cost.table(SPACE, 'price', 'EUR', numbers)
  limits = {MACS: low, price: price.bounds()[0]}
  least = min(price.exact(a) for a in EVERY if MACS.exact(a) == low)
  says = f'price is at least {least} EUR within the other limits'
  refused(says, derive.within, SPACE, _alphas(0), limits)


@pytest.mark.parametrize('seed', range(3))
def test_the_frontier_is_that_of_all(seed):
  alphas = _alphas(seed)
  points = derive.pareto(SPACE, alphas, MACS)
  scores = {a: derive.log_prob(a, alphas) for a in EVERY}
  wanted, best = [], -math.inf
  for a in sorted(EVERY, key=lambda a: (MACS.exact(a), -scores[a])):
    if scores[a] > best:
      best = scores[a]
      wanted.append((MACS.exact(a), a))
  assert [(p.cost, p.architecture) for p in points] == wanted
  for cost_, a in wanted:
    assert derive.within_budget(points, cost_).architecture == a


def test_samples_are_uniform_among_what_is_allowed():
  limits = {MACS: 90, PARAMS: 110}
  allowed = [
    a for a in EVERY if _fits(a, limits) and derive.uses(a, limits, 0.8)
  ]
  assert 5 < len(allowed) < 40
  n = 400 * len(allowed)
  rng = np.random.default_rng(0)
  drawn = derive.sample_within(SPACE, limits, n, rng, fill=0.8)
  numbers = collections.Counter(drawn)
  assert set(numbers) == set(allowed)
  chi = sum((numbers[a] - 400) ** 2 / 400 for a in allowed)
  degrees = len(allowed) - 1
  assert abs(chi - degrees) < 4 * math.sqrt(2 * degrees)


def test_leaders_are_the_best_of_each_drawn_option():
  alphas, limits = _alphas(7), {MACS: 100}
  score = functools.partial(derive.log_prob, alphas=alphas)
  leaders = derive.leaders(SPACE, alphas, limits)
  assert leaders[0] == derive.within(SPACE, alphas, limits)
  assert sorted(a.named['inputs'] for a in leaders) == ['3', '6']
  for leader in leaders:
    option = leader.named['inputs']
    alike = [a for a in EVERY if a.named['inputs'] == option]
    best = max(score(a) for a in alike if _fits(a, limits))
    assert score(leader) == pytest.approx(best)
    found = derive.likeliest(SPACE, alphas, limits, 5, like=leader)[1:]
    assert len({leader, *found}) == 5
    assert all(a.named['inputs'] == option for a in found)
    assert all(_fits(a, limits) for a in found)


def test_a_drawn_choice_may_have_a_shape_or_stand_alone():
  grid = dataclasses.make_dataclass('Grid', [('name', str), ('choices', dict)])
  drawn = Choice(('a', 'b', 'c'), shape=(2,), drawn=True)
  for more in ({}, {'op': Choice(('x', 'y'))}):
    s = grid('grid', {**more, 'way': drawn})
    numbers = {'way': {'a': 1, 'b': 2, 'c': 4}}
    numbers |= {name: {'x': 0, 'y': 8} for name in more}
    price = cost.table(s, 'price', 'EUR', numbers)
    indices = itertools.product(
      *(range(len(o)) for o in space.axes(s.choices).values())
    )
    every = [Architecture.from_indices(s, i) for i in indices]
    for seed in range(5):
      alphas = space.init_alphas(s.choices, jax.random.key(seed), 1.0)
      score = functools.partial(derive.log_prob, alphas=alphas)
      for limit in (3, 6, 8):
        fits = [a for a in every if price.exact(a) <= limit]
        found = derive.within(s, alphas, {price: limit})
        assert found == max(fits, key=score)
        leaders = derive.leaders(s, alphas, {price: limit})
        assert leaders[0] == found
        firsts = {a.named['way'][0] for a in fits}
        assert sorted(a.named['way'][0] for a in leaders) == sorted(firsts)


def test_a_single_drawn_choice_is_all_of_a_problem():
  grid = dataclasses.make_dataclass('Grid', [('name', str), ('choices', dict)])
  s = grid('grid', {'way': Choice(('a', 'b', 'c'), drawn=True)})
  price = cost.table(s, 'price', 'EUR', {'way': {'a': 1, 'b': 2, 'c': 4}})
  alphas = {'way': jnp.array([0.0, 1.0, 2.0])}
  for limit, best in ((4, 'c'), (3, 'b'), (1, 'a')):
    assert derive.within(s, alphas, {price: limit}).choice == (best,)
  full = derive.within(s, {'way': -alphas['way']}, {price: 4}, fill=0.5)
  assert full.choice == ('b',)


@pytest.mark.parametrize(
  ('branch', 'says'),
  [
    (np.zeros(3), r'branch of shape \(2, 3\), got \(3,\)'),
    (np.zeros((3, 2)), r'branch of shape \(2, 3\), got \(3, 2\)'),
    (np.full((2, 3), np.nan), 'finite alphas'),
  ],
)
def test_alphas_of_another_shape_are_refused(branch, says):
  alphas = {**_alphas(0), 'branch': branch}
  with pytest.raises(ValueError, match=says):
    derive.within(SPACE, alphas, {MACS: 100})


def test_a_table_over_other_options_is_refused():
  wrong = cost.Cost(
    'odd', 'units', (Table((('branch', (2,)),), (3,), (1,) * 3),)
  )
  with pytest.raises(ValueError, match=r'branch\[2\] \(3 options\)'):
    derive.within(SPACE, _alphas(0), {wrong: 5})
