"""Blocks of a space: counted by their closed forms, or traced."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import cost, ops, space, spaces
from nasjax.ops import Numerics
from nasjax.space import OpBlock


@dataclasses.dataclass(frozen=True)
class Joined:
  """Two inputs, each through a layer of its own."""

  features: int

  def module(self, numerics):
    return _Joined(self.features)


class _Joined(nn.Module):
  features: int

  @nn.compact
  def __call__(self, x, y, train):
    own = functools.partial(nn.Dense, self.features, use_bias=False)
    return own()(x) + own()(y)


@dataclasses.dataclass(frozen=True)
class Priced(Joined):
  """With closed forms of its own, of MACs alone; they need not be right."""

  def closed_form(self, resource, x, y):
    return 7 if resource == 'macs' else None

  def output_shape(self, x, y):
    return (1, 99)


SHAPES = (1, 3), (1, 4)


def test_a_block_of_two_inputs_is_traced():
  block = Joined(5)
  assert cost.measure_macs(block, *SHAPES) == (3 + 4) * 5
  assert cost.measure_params(block, *SHAPES) == (3 + 4) * 5
  assert space.output_shape(block, *SHAPES) == (1, 5)
  # Both inputs stay until the second layer has run.
  assert cost.measure_memory(block, *SHAPES) >= 4 * (3 + 4 + 5)
  other = cost.measure_macs(block, (1, 3), (1, 9))
  assert other == (3 + 9) * 5


def test_a_closed_form_goes_before_the_program_where_there_is_one():
  block = Priced(5)
  assert cost.measure_macs(block, *SHAPES) == 7
  assert cost.measure_params(block, *SHAPES) == (3 + 4) * 5
  assert space.output_shape(block, *SHAPES) == (1, 99)
  assert space.traced_shape(block, *SHAPES) == (1, 5)


@pytest.mark.quick_every(2)
@pytest.mark.parametrize('make', [spaces.tiny_width, spaces.tiny_macro])
def test_tables_are_asked_for_every_block_with_its_input(make):
  s = make()
  asked = []

  def measure(block, *shapes):
    (shape,) = shapes
    asked.append((block, shape))
    return cost.measure_params(block, shape)

  assert s.tables(measure) == cost.params(s).tables
  assert {block.op for block, _ in asked} == {
    op for slot in s.slots for op in slot.ops
  }
  for block, shape in asked:
    assert isinstance(block, OpBlock)
    x = jnp.zeros(shape)
    module = block.module(Numerics())
    key = jax.random.key(0)
    variables = jax.eval_shape(
      lambda k, m=module, x=x: m.init(k, x, False), key
    )
    out = jax.eval_shape(
      lambda v, m=module, x=x: m.apply(v, x, False), variables
    )
    assert out.shape == block.output_shape(shape)
    assert out.shape[-1] == block.features


def test_a_block_of_a_chain_is_counted_as_its_op():
  shape = (1, 8, 8, 3)
  block = OpBlock(ops.MBConv(3, 6), 16, 2)
  assert cost.measure_macs(block, shape) == cost.op_macs(block.op, 16, 2, shape)
  odd = (1, 8, 7, 3)  # Closed forms are of square images.
  assert block.closed_form('macs', odd) is None
  assert cost.measure_macs(block, odd) == cost.traced(
    'macs', block.op, 16, 2, odd
  )


@pytest.mark.slow
def test_a_space_makes_its_networks():
  s = spaces.tiny()
  a = space.Architecture.from_indices(s, (0, 1, 2))
  images = jnp.asarray(
    np.random.default_rng(0).normal(size=(2, s.image_size, s.image_size, 1)),
    jnp.float32,
  )
  numerics = Numerics(lowering='native')
  for one, probs in (
    (s.network(numerics), space.one_hot(a)),
    (s.search_network(numerics), space.one_hot(a)),
    (s.fix(a).network(numerics), {}),
  ):
    variables = one.init(jax.random.key(0), images, probs, train=False)
    logits = one.apply(variables, images, probs, train=False)
    assert logits.shape == (2, s.num_classes)
    kinds = {type(one).__name__, one.numerics.lowering}
    assert kinds == {'Supernet', 'native'}
  params = sum(x.size for x in jax.tree.leaves(variables['params']))
  assert params == cost.params(s).exact(a)
  assert s.fix(a) == space.fix(s, a)
