"""Which rate a diverged search is told to lower."""

import pytest

from nasjax.run import diverged_search, divergence
from nasjax.run.config import SearchConfig

DUAL = SearchConfig(relax='softmax', constraint='lagrangian', dual_rate=0.5)
PRICED = SearchConfig(steps=240, constraint='hinge', strength=3.0)
FINE = {'train_loss': 2.0, 'valid_loss': 2.1, 'total_loss': 2.2}


@pytest.mark.parametrize(
  ('config', 'what', 'before', 'lowered'),
  [
    # In the warm-up there is no alpha step to blame.
    (PRICED, 'train_loss', {'train_loss': 2.0}, 'learning_rate'),
    (PRICED, 'train_loss', FINE, 'alpha_learning_rate'),
    (PRICED, 'train_loss', FINE | {'train_loss': 1e5}, 'learning_rate'),
    (PRICED, 'train_loss', FINE | {'total_loss': 1e5}, 'strength'),
    (DUAL, 'train_loss', FINE | {'total_loss': 1e5}, 'dual_rate'),
    (PRICED, 'train_loss', FINE | {'valid_loss': 3e6}, 'learning_rate'),
    (PRICED, 'valid_loss', FINE, 'learning_rate'),
    (PRICED, 'state', FINE, 'alpha_learning_rate'),
    (PRICED, 'weights_skipped', {}, 'learning_rate'),
    (PRICED, 'total_loss', FINE, 'strength'),
    (PRICED, 'alphas_skipped', FINE, 'alpha_learning_rate'),
  ],
)
def test_the_rate_that_did_it_is_named_with_its_value(
  config, what, before, lowered
):
  bad = divergence.Bad(what=what, step=7, before=before)
  said = diverged_search.message(config, bad)
  assert said.count('\n') == 0
  assert 'from step 7 of 240' in said
  assert f'lower {lowered} and' in said
  assert f'{lowered} {getattr(config, lowered)}' in said
