"""Whose a workdir is."""

import json
import os

import pytest

from nasjax.run.workdir import claims
from tests.conftest import refused


def test_a_workdir_belongs_to_one_run(tmp_path):
  workdir = tmp_path / 'run'
  claims.claim(workdir, {'steps': 3, 'limit': ['macs=1M']})
  claims.claim(workdir, {'steps': 3, 'limit': ['macs=1M']})
  # Whoever mistyped a flag may mend it, until a step was taken.
  claims.claim(workdir, {'steps': 4, 'limit': ['macs=1M']})
  (workdir / 'checkpoints').mkdir()
  (workdir / 'metrics.jsonl').write_text('')
  claims.claim(workdir, {'steps': 3, 'limit': ['macs=1M']})
  (workdir / 'metrics.jsonl').write_text('{"step": 1}\n')
  refused(
    'steps was 3 and is 4', claims.claim, workdir, {'steps': 4, 'limit': []}
  )
  refused(
    'another script, or of another version of this one, which was told limit;',
    *(claims.claim, workdir, {'steps': 3, 'epochs': 4}),
  )
  config = json.loads((workdir / 'config.json').read_text())
  config['versions']['jax'] = '0.1'
  (workdir / 'config.json').write_text(json.dumps(config))
  refused(
    'made by other versions: jax was 0.1 and is ',
    claims.claim,
    workdir,
    {'steps': 3, 'limit': ['macs=1M']},
  )
  before = (workdir / 'config.json').read_text()
  refused('steps was 3', claims.claim, workdir, {'steps': 4, 'limit': []})
  assert (workdir / 'config.json').read_text() == before
  damaged = {**json.loads(before), 'versions': 3}
  (workdir / 'config.json').write_text(json.dumps(damaged))
  same = {'steps': 3, 'limit': ['macs=1M']}
  refused('made by other versions: all was 3', claims.claim, workdir, same)
  (tmp_path / 'other').mkdir()
  (tmp_path / 'other' / 'thesis.tex').write_text('')
  refused('holds files but no run', claims.claim, tmp_path / 'other', {})
  (tmp_path / 'killed').mkdir()
  (tmp_path / 'killed' / 'config.json.part').write_text('{"ste')
  claims.claim(tmp_path / 'killed', {'steps': 3})
  refused(
    'Not a directory', claims.claim, tmp_path / 'other/thesis.tex/run', {}
  )
  refused('is a file', claims.claim, tmp_path / 'other' / 'thesis.tex', {})
  latin = tmp_path / os.fsdecode(b'caf\xe9')
  refused('not in UTF-8', claims.claim, latin, {})
  assert not latin.exists()


@pytest.mark.parametrize('lacks', ['file', 'command'])
def test_a_null_that_one_side_lacks_changes_nothing(tmp_path, lacks):
  """Neither the file, nor what the run has found."""
  workdir = tmp_path / 'run'
  claims.claim(workdir, {'steps': 3, 'limit': None})
  (workdir / 'metrics.jsonl').write_text('{"step": 3}\n')
  (workdir / 'architecture.json').write_text('{}')
  kept = json.loads((workdir / 'config.json').read_text())
  if lacks == 'file':
    del kept['limit']
  else:
    kept['extra'] = None
  text = json.dumps(kept)
  (workdir / 'config.json').write_text(text)
  claims.claim(workdir, {'steps': 3, 'limit': None})
  assert (workdir / 'config.json').read_text() == text
  assert (workdir / 'architecture.json').read_text() == '{}'
