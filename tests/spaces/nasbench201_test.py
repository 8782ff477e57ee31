"""The cells of NAS-Bench-201, held to published counts and to its table."""

import json

import numpy as np
import pytest

from benchmarks.truth import nasbench201 as truth_of
from nasjax import cost, derive, space, spaces
from tests.conftest import refused
from tests.spaces.spaces_cases import built_counts

SPACE = spaces.nasbench201()
BEST = (
  '|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|'
  '+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|'
)


@pytest.mark.shared
def test_sixty_networks_cost_what_others_count(shared):
  document = json.loads((shared / 'reference/nasbench201.json').read_text())
  macs, params = cost.macs(SPACE), cost.params(SPACE)
  assert len(document['archs']) == 60
  for text, row in document['archs'].items():
    a = spaces.nasbench201_architecture(SPACE, text)
    assert (macs.exact(a), params.exact(a)) == (row['macs'], row['params'])
    assert spaces.nasbench201_string(a) == text


def test_all_15625_networks_cost_what_the_table_has():
  truth = truth_of.load()  # Refuses a row that differs from the space.
  assert len(truth.indices) == 5**6
  assert len(np.unique(truth.costs['macs'])) == 28
  # The smallest: stem, two reductions and the linear layer.
  nothing = 32**2 * 16 * 27 + 16**2 * 32 * (9 * 16 + 9 * 32 + 16)
  nothing += 8**2 * 64 * (9 * 32 + 9 * 64 + 32) + 64 * 10
  assert cost.macs(SPACE).bounds() == (nothing, truth.costs['macs'].max())


@pytest.mark.slow
@pytest.mark.parametrize('digits', ['313213', '140242', '000000'])
def test_a_built_network_is_what_is_counted(digits):
  a = space.Architecture.from_indices(SPACE, map(int, digits))
  network = SPACE.fix(a)
  counts = built_counts(network)
  assert counts.macs == cost.macs(SPACE).exact(a)
  assert counts.params == cost.params(SPACE).exact(a)
  # Without any edge nothing of the image is left to hold.
  if digits != '000000':
    assert counts.memory == cost.memory(network).constant


def test_a_string_names_an_architecture_and_back(drawn):
  for _ in range(50):
    a = space.Architecture.from_indices(SPACE, drawn.choices(range(5), k=6))
    text = spaces.nasbench201_string(a)
    assert spaces.nasbench201_architecture(SPACE, text) == a
  a = spaces.nasbench201_architecture(SPACE, BEST)
  assert a.named == {
    'edges': [
      'nor_conv_3x3',
      'nor_conv_3x3',
      'nor_conv_3x3',
      'skip_connect',
      'nor_conv_3x3',
      'nor_conv_1x1',
    ]
  }


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    (BEST.replace('skip_connect', 'identity'), "'identity' is no op; choose"),
    (
      BEST.replace('_3x3~0|nor', '_3x3~1|nor'),
      'edge 1 of node 2 .* not from 0',
    ),
    (
      '|none~0|+|none~1|none~0|+|none~0|none~1|none~2|',
      "edge 1 of node 2 is 'none~1', not from 0",
    ),
    ('|none~0|none~0|' + BEST[16:], 'node 1 has 2 edges, not 1'),
    (BEST + 'none~3|', 'node 3 has 4 edges, not 3'),
    (BEST + '+|none~0|', 'it has 4 nodes, not 3'),
    ('', 'it has 1 nodes, not 3'),
    (BEST[1:], "node 1, 'nor_conv_3x3~0.', is not between"),
    (BEST[:-1], 'node 3, .* is not between'),
    (
      BEST.replace('~0|+', '|+', 1),
      "'nor_conv_3x3' of node 1 is not op~source",
    ),
    (BEST.replace('~0', '~00', 1), "edge 1 of node 1 is 'nor_conv_3x3~00'"),
    (BEST.replace('~0', '~\u0660', 1), 'edge 1 of node 1'),
    (BEST.replace('~0', ' ~0', 1), "'nor_conv_3x3 ' is no op"),
    (BEST + '\n', 'node 3'),
  ],
)
def test_other_strings_are_refused_in_a_line(text, message):
  assert text != BEST
  refused(message, spaces.nasbench201_architecture, SPACE, text)


def test_a_proxy_searches_a_small_network_and_prices_the_full_one():
  small = spaces.nasbench201(width=4, cells=1, affine=False)
  proxy = space.Proxy(SPACE, small)
  assert proxy.choices == SPACE.choices
  assert proxy.search_network().space == small
  a = spaces.nasbench201_architecture(proxy, BEST)
  assert cost.macs(proxy).exact(a) == cost.macs(SPACE).exact(
    spaces.nasbench201_architecture(SPACE, BEST)
  )
  assert len(proxy.fix(a).layers) == 20


@pytest.mark.parametrize(
  ('quantiles', 'fill'),
  [
    ({'macs': 0.2}, 0.0),
    ({'params': 0.6}, 0.9),
    ({'macs': 0.7, 'params': 0.5}, 0),
  ],
)
def test_deriving_is_the_best_of_all_rows_within_the_limits(quantiles, fill):
  truth = truth_of.load()
  rng = np.random.default_rng(4)
  alphas = {'edges': rng.normal(size=(6, 5)).astype(np.float32)}
  named = {name: truth.quantile(q, name) for name, q in quantiles.items()}
  limits = {getattr(cost, n)(truth.space): v for n, v in named.items()}
  found = derive.within(truth.space, alphas, limits, fill=fill)
  scores = alphas['edges'][np.arange(6), truth.indices].sum(1)
  rows = truth.keeping(named, fill)
  assert truth.row(found) in rows
  best = scores[rows].max()
  assert scores[truth.row(found)] == pytest.approx(best, abs=1e-5)
