"""Counts of any JAX function or Flax module, from its traced program.

Nothing is compiled and no weights are allocated: a program is traced on
shapes (`jax.make_jaxpr`), and its equations are counted one by one.

One MAC is one multiply-accumulate (where papers write FLOPs of a network, they
mostly mean MACs; a MAC is two FLOPs). Counted are convolutions and linear
layers (`dot_general`), padding taps included: output elements x kernel taps x
input channels per group. Bias, normalisation, activations, pooling and all
that is element-wise are excluded. Therefore a layer must be in its *native*
form: a convolution that is written as a sum of products counts 0. Every dot
product counts, whoever wrote it (`jax.image.resize` multiplies matrices). Of
complex numbers a MAC is complex, too: it counts one, though it takes four real
ones.

* A transposed convolution (dilated input) counts input elements x kernel taps
  x output channels per group: the zeros between the inputs are no work. With
  stride 1 it is an ordinary convolution of a padded input, and counted so.
  Axes count each by itself; where outputs are strided as well, an input meets
  only the taps that lead to one of them. Layouts count alike; how a layer is
  told from a gradient to its kernel is in `nasjax.count.kernel_gradient`.
* A network is counted as it runs: an equation whose result nobody uses counts,
  `vmap` of a `cond` runs both branches, `remat` in a gradient runs twice, and
  under `shard_map` all devices together count, replicated work included.
* Gradients are programs like others, so that padding taps count in them, too:
  with padding `SAME` a step costs three times the forward pass, else not quite.
* Batch is no special axis: give inputs with a batch of 1 to count an inference.

Parameters are the trainable ones. The rule for the peak memory of activations
is in `peak_memory`, and in full in `nasjax.count.memory`.
"""

from nasjax.count.dataflow import Tensor
from nasjax.count.layers import Row, Table
from nasjax.count.macs import Branch, Range, macs, macs_range, params, table
from nasjax.count.memory import Peak, peak_memory
from nasjax.count.parameters import module_shapes
from nasjax.count.rules import conv_macs, dot_macs, ragged_dot_macs

__all__ = [
  'Branch',
  'Peak',
  'Range',
  'Row',
  'Table',
  'Tensor',
  'conv_macs',
  'dot_macs',
  'macs',
  'macs_range',
  'module_shapes',
  'params',
  'peak_memory',
  'ragged_dot_macs',
  'table',
]
