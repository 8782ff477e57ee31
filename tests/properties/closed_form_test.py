"""Closed forms of every distinct block of every preset and network.

Each is held to the traced program of the block's module. A file of its own:
pytest-xdist gives whole files to its workers.
"""

import functools
import os
import random

import jax
import jax.numpy as jnp
import pytest

from experiments.flags import names
from nasjax import cost, count, ops, space, spaces

NATIVE = ops.Numerics(lowering='native')
MAKERS = {
  **names.SPACES,
  'tiny_width': spaces.tiny_width,
  'tiny_macro': spaces.tiny_macro,
  **names.NETWORKS,
}


def _blocks(s):
  """Every place in which an op with closed forms can stand."""
  for i in range(max(1, len(s.patterns))):
    fixed = space.at_pattern(s, i) if s.patterns else s
    size, before = fixed.image_size, None
    for slot in fixed.slots:
      for op, n, m in fixed.places(before, slot):
        if isinstance(op, ops.MBConv):
          yield op, m, slot.stride, (1, size, size, n)
      size, before = -(-size // slot.stride), slot


@functools.cache
def _new_blocks():
  """Of each preset and network the blocks that none before it has."""
  seen, found = set(), {}
  for name, make in MAKERS.items():
    found[name] = [b for b in dict.fromkeys(_blocks(make())) if b not in seen]
    seen.update(found[name])
  return found


def _traced(op, features, stride, shape):
  """MACs, params, memory and shape of what leaves, from one trace.

  Drawing weights has no MACs, and what is computed from the key alone is no
  activation, so that the program may draw its weights, too.
  """
  module = op.module(features, stride, NATIVE)
  found = {}

  @jax.jit
  def program(key, x):
    y, found['variables'] = module.init_with_output(key, x, False)
    return y

  key = jax.eval_shape(jax.random.key, 0)
  x = jax.ShapeDtypeStruct(shape, jnp.float32)
  y = jax.eval_shape(program, key, x)
  return (
    count.macs(program, key, x),
    count.params(found['variables']),
    count.peak_memory(program, key, x).bytes,
    y.shape,
  )


def _closed(*block):
  return (
    cost.op_macs(*block),
    cost.op_params(*block),
    cost.op_memory(*block),
    cost.op_shape(*block),
  )


@pytest.mark.slow
@pytest.mark.parametrize('name', MAKERS)
def test_closed_forms_are_the_traced_program_of_every_block(
  name, architectures
):
  """A third of them, another in each run; `make check-full` tries all."""
  blocks = list(_new_blocks()[name])
  if architectures < 1000:
    rng = random.Random(f'{os.environ["SEED"]} {name}')
    blocks = rng.sample(blocks, -(-len(blocks) // 3))
  for block in blocks:
    assert _closed(*block) == _traced(*block), block


def test_every_preset_and_network_has_its_blocks_tried():
  new = _new_blocks()
  tried = {block for blocks in new.values() for block in blocks}
  assert len(tried) == sum(map(len, new.values())) > 2000
  for name, make in MAKERS.items():
    assert tried.issuperset(_blocks(make())), name


@pytest.mark.slow
@pytest.mark.parametrize('name', ['tiny', 'efficientnet_b0', 'spnasnet'])
def test_what_a_search_traces_is_the_same_program(name):
  """It asks for the three counts one by one, of a program without a key."""
  for block in _new_blocks()[name]:
    resources = (cost.traced(r, *block) for r in ('macs', 'params', 'memory'))
    assert (*resources, cost.traced_shape(*block)) == _traced(*block), block
