"""Tables of layers against names, shapes and numbers that are known."""

import csv
import io
import json

import flax.linen as nn

from nasjax import count
from tests.count.count_cases import (
  IMAGES,
  NETWORK,
  RESNET_MACS,
  RESNET_PARAMS,
  SQUARE,
  ResNet,
  X,
  check_totals,
  network,
  shape,
)


def test_table_of_a_resnet():
  module = ResNet()
  variables = count.module_shapes(module, IMAGES)
  table = count.table(module, variables, IMAGES)
  check_totals(table)
  assert (table.macs, table.params) == (RESNET_MACS, RESNET_PARAMS)
  assert [row.name for row in table.rows] == [
    'stem',
    'block1/a',
    'block1/a_norm',
    'block1/b',
    'block1/b_norm',
    'block2/a',
    'block2/a_norm',
    'block2/b',
    'block2/b_norm',
    'block2/skip',
    'head',
  ]
  rows = {row.name: row for row in table.rows}
  assert rows['block2/a'] == count.Row(
    'block2/a',
    'conv',
    (1, 16, 16, 8),
    (1, 8, 8, 16),
    (3, 3),
    (2, 2),
    1,
    64 * 16 * 72,
    72 * 16,
    64 * 16 * 72 / RESNET_MACS,
  )
  assert rows['stem'].params == 27 * 8 + 8
  assert rows['head'][1:9] == (
    'linear', (1, 16), (1, 10), (), (), 0, 160, 170
  )  # fmt: skip
  assert rows['block2/b_norm'].params == 32
  rematted = count.table(ResNet(True), variables, IMAGES)
  assert rematted.macs == RESNET_MACS


def test_table_formats_hold_the_same_numbers():
  module = ResNet()
  table = count.table(module, count.module_shapes(module, IMAGES), IMAGES)
  loaded = json.loads(table.to_json())
  assert (loaded['macs'], loaded['params']) == (table.macs, table.params)
  assert [tuple(row) for row in loaded['rows']] == [
    count.Row._fields for _ in table.rows
  ]
  assert [row['macs'] for row in loaded['rows']] == [
    row.macs for row in table.rows
  ]
  read = list(csv.DictReader(io.StringIO(table.to_csv())))
  assert [int(row['params']) for row in read] == [
    row.params for row in table.rows
  ]
  assert [float(row['share']) for row in read] == [
    row.share for row in table.rows
  ]
  assert read[0]['input'] == '1x16x16x3'
  lines = table.to_text().splitlines()
  assert len(lines) == len(table.rows) + 2
  assert lines[-1].split() == ['total', str(table.macs), str(table.params)]
  assert max(map(len, lines)) < 120


def test_table_of_plain_functions():
  table = count.table(network, {**NETWORK, 'unused': shape(3)}, X)
  check_totals(table)
  assert [(row.name, row.params, row.groups) for row in table.rows] == [
    ('a', 288, 1),
    ('b', 200, 8),
    ('c', 80, 0),
    ('unused', 3, 0),
  ]
  lists = count.table(lambda w, x: x @ w[0] @ w[0], [SQUARE], SQUARE)
  check_totals(lists)
  # Weights that are shared count where they are first used.
  assert [row.params for row in lists.rows] == [16, 0]
  attention = count.table(lambda w, x: x @ x.T, {}, SQUARE)
  assert attention.rows[0][0] == 'dot_general'
  assert attention.rows[0].params == 0


def test_table_of_a_scan_over_layers():
  class Layer(nn.Module):
    @nn.compact
    def __call__(self, x, _):
      return nn.relu(nn.LayerNorm()(nn.Dense(4)(x))), None

  class Stack(nn.Module):
    @nn.compact
    def __call__(self, x):
      stack = nn.scan(
        Layer,
        variable_axes={'params': 0},
        split_rngs={'params': True},
        length=3,
      )
      return stack(name='layers')(x, None)[0]

  module, x = Stack(), shape(2, 4)
  variables = count.module_shapes(module, x)
  table = count.table(module, variables, x)
  check_totals(table)
  assert table.macs == count.macs(module, variables, x) == 3 * 32
  assert [(row.name, row.macs, row.params) for row in table.rows] == [
    ('layers/Dense_0', 96, 60),
    ('layers/LayerNorm_0', 0, 24),
  ]


def test_table_of_a_transposed_convolution_and_of_folded_weights():
  class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
      x = nn.ConvTranspose(8, (3, 3), strides=(2, 2))(x)
      return nn.WeightNorm(nn.Dense(5))(x)

  module = Net()
  variables = count.module_shapes(module, X)
  table = count.table(module, variables, X)
  check_totals(table)
  assert table.rows[0].op == 'transposed conv'
  assert table.rows[0].stride == (2, 2)
  assert table.macs == 81 * 9 * 4 * 8 + 18 * 18 * 40
  assert table.params == count.params(variables)
