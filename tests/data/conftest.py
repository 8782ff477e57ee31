"""Data sets that tests of several files read."""

import importlib.util

import pytest

from nasjax import data


@pytest.fixture(scope='session')
def embedded():
  """The embedded set, which no test changes."""
  dataset = data.load()
  for arrays in (dataset.train, dataset.test):
    arrays.images.setflags(write=False)
    arrays.labels.setflags(write=False)
  return dataset


@pytest.fixture
def load(tmp_path):
  """Loads a folder of images; what it decodes stays with the test."""

  def call(root, cache='cache', **options):
    return data.load(f'folder:{root}', tmp_path / cache, **options)

  return call


@pytest.fixture
def tensorflow(monkeypatch):
  """As if it were installed."""
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: name)
