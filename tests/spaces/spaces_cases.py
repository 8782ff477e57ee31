"""Presets, their costs, and the program of a built network."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from nasjax import (
  cost,
  count,
  ops,
  space,
  spaces,
)

NATIVE = ops.Numerics(lowering='native')


TINY = [spaces.tiny, spaces.tiny_width, spaces.tiny_macro]


class Counts(NamedTuple):
  """Exact costs of one network."""

  macs: int
  params: int
  memory: int


@functools.cache
def cost_of(resource, preset):
  """Tests share the tables."""
  return getattr(cost, resource)(preset())


macs_of = functools.partial(cost_of, 'macs')
params_of = functools.partial(cost_of, 'params')


def is_width(features):
  return isinstance(features, space.Width)


def as_architecture(s, network):
  """The architecture of `s` that has the network's op and width everywhere."""
  choice, fixed = {}, {slot.name: slot for slot in network.slots}
  for slot in s.slots:
    published = fixed[slot.name]
    assert published.stride == slot.stride
    assert published.features in slot.widths
    (op,) = published.ops
    if slot.name != 'classifier':  # whose dropout may differ
      assert op in slot.ops
    choice[slot.name] = op.name
    if is_width(slot.features):
      choice[slot.features.name] = str(published.features)
  assert len(s.slots) == len(network.slots)
  return space.Architecture(s, tuple(choice[name] for name in s.choices))


def exact_counts(preset, a):
  return Counts(*(cost_of(name, preset).exact(a) for name in Counts._fields))


def built_counts(network):
  """Counts of the whole built network, from its traced program."""
  net = network.network(NATIVE)
  size = network.image_size
  images = jax.ShapeDtypeStruct((1, size, size, network.channels), jnp.float32)
  found = {}

  # Drawing weights has no MACs, and what is computed from the key alone is no
  # activation: one trace, which jit keeps, serves for all three numbers.
  @jax.jit
  def program(key, images):
    logits, found['variables'] = net.init_with_output(
      key, images, {}, train=False
    )
    return logits

  key = jax.eval_shape(jax.random.key, 0)
  return Counts(
    count.macs(program, key, images),
    count.params(found['variables']),
    count.peak_memory(program, key, images).bytes,
  )


def layout(s):
  """Width, number of blocks and stride of each stage."""
  rows = []
  for slot in s.slots:
    if slot.name.startswith('stage'):
      if slot.name.endswith('_1'):
        rows.append([slot.features, 0, slot.stride])
      rows[-1][1] += 1
  return rows
