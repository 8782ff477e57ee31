"""Files and modules that pages name are there."""

import importlib.util
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md']
PAGES += sorted((ROOT / 'docs').glob('*.md'))
PAGES += sorted((ROOT / 'benchmarks').glob('*.md'))


@pytest.mark.parametrize('page', PAGES, ids=lambda p: p.name)
def test_every_file_that_a_page_names_is_there(page):
  named = re.findall(
    r'(?<![\w/])(?:nasjax|experiments|tests|benchmarks|docs|tools)/'
    r'[\w/]*\.(?:py|md|sh|png)',
    page.read_text(),
  )
  named = [name for name in named if 'X' not in name]  # A pattern.
  assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize('page', PAGES, ids=lambda p: p.name)
def test_every_module_that_a_page_names_is_there(page):
  """The longest dotted name that is a module; the rest is an attribute."""
  named = re.findall(
    r'(?<![\w./])(?:nasjax|experiments|benchmarks)(?:\.\w+)+', page.read_text()
  )
  missing = []
  for name in set(named):
    parts, found = name.split('.'), None
    while len(parts) > 1 and found is None:
      try:
        found = importlib.util.find_spec('.'.join(parts))
      except ModuleNotFoundError:
        found = None
      rest = name.split('.')[len(parts) :]
      parts.pop()
    if found is None:
      missing.append(name)
    elif rest:
      value = importlib.import_module(found.name)
      for attribute in rest:
        value = getattr(value, attribute, None)
      if value is None:
        missing.append(name)
  assert missing == []
