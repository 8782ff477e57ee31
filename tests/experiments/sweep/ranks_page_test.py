"""What the page of a sweep says of ranks, from accuracies that are made up."""

import pytest

from experiments.sweep import ranks, ranks_page
from nasjax.report.document import Text
from tests.experiments.sweep.results_cases import scored


def _ranks(before, after):
  found = [scored(f'r{i}', 'random', (test,)) for i, test in enumerate(after)]
  inherited = {f'r{i}': x for i, x in enumerate(before)}
  return ranks.of(found, inherited, 'macs_1M_seed0')


def _said(found, tried=False):
  (text,) = (
    b.text for b in ranks_page.blocks(found, tried) if isinstance(b, Text)
  )
  return text


def test_without_a_supernet_there_is_nothing_on_ranks():
  assert ranks_page.blocks(_ranks([], []), True) == []


@pytest.mark.parametrize(
  ('after', 'words'),
  [
    ([0.1, 0.2, 0.3, 0.4, 0.5], 'Spearman +1.00'),
    ([0.5, 0.4, 0.3, 0.2, 0.1], 'Spearman -1.00'),
    ([0.3, 0.3, 0.3, 0.3, 0.3], 'none, as one of the two does not vary'),
  ],
)
def test_a_correlation_is_said_with_its_sign_or_as_none(after, words):
  found = _ranks([0.1, 0.2, 0.3, 0.4, 0.5], after)
  assert words in _said(found)
  assert _said(found).startswith('5 networks of the space')


def test_an_interval_around_0_is_said_to_allow_none():
  found = _ranks([0.1, 0.2, 0.3, 0.4, 0.5], [0.2, 0.4, 0.1, 0.5, 0.3])
  assert found.correlation.low < 0 < found.correlation.high
  assert 'it may be none' in _said(found)
  sure = found._replace(
    correlation=found.correlation._replace(low=0.1),
    unchosen=found.unchosen._replace(low=0.1),
  )
  assert 'it may be none' not in _said(sure)


def test_finalists_that_were_tried_are_told_apart():
  found = _ranks([0.1, 0.2, 0.3], [0.2, 0.4, 0.1])
  assert 'finalists' not in _said(found)
  assert 'finalists' in _said(found, tried=True)
