"""A table that another version of a runtime measured is warned of."""

import importlib.metadata

import pytest

from nasjax import latency
from nasjax.latency import versions


def _table(**fields):
  return latency.LatencyTable('tiny', {'fixed': 1.0}, 'choices', **fields)


def test_another_version_is_warned_of_with_both():
  here = importlib.metadata.version('numpy')
  (line,) = latency.warnings(_table(runtime='numpy', version='0.1'))
  assert 'numpy 0.1' in line
  assert here in line
  assert latency.warnings(_table(runtime='numpy', version=here)) == []


@pytest.mark.parametrize(
  'fields',
  [
    {},
    {'runtime': 'numpy'},
    {'version': '1'},
    {'runtime': 'a phone', 'version': '1'},
    {'runtime': '', 'version': '1'},
  ],
)
def test_nothing_is_said_of_what_is_not_known(fields):
  assert latency.warnings(_table(**fields)) == []


def test_runtimes_are_found_by_the_name_of_their_package(monkeypatch):
  installed = {'ai-edge-litert': '2.3.0', 'onnxruntime': '1.32.0'}
  monkeypatch.setattr(importlib.metadata, 'version', installed.__getitem__)
  assert versions.installed('litert') == '2.3.0'
  assert versions.installed('onnxruntime') == '1.32.0'
