"""Figures of a sweep, from results that are made up."""

import pytest

from experiments.sweep import figures, ranks
from experiments.sweep.networks import HANDMADE, SEARCHED
from tests.experiments.sweep.results_cases import LEVEL, made_up, scored

RANKED = {f'r{i}': 0.1 * i for i in range(3)}


@pytest.mark.parametrize('ranked', [{}, RANKED])
def test_each_figure_that_has_something_to_show_is_drawn(tmp_path, ranked):
  found = made_up()
  own = ranks.of(found, ranked, 'macs_1M_seed0')
  figures.draw(tmp_path, 'macs', [LEVEL], found, own)
  drawn = {path.stem for path in tmp_path.glob('*.png')}
  always = {'macs', 'params', 'differences', 'architectures'}
  assert drawn == always | ({'ranks'} if ranked else set())


def test_pictures_are_of_searched_networks_first_each_once():
  twice = scored('s9', 'searched', (0.8,), folder='s0')
  pictures = figures._pictures([*reversed(made_up()), twice])
  kinds = {s.entry.name: s.entry.kind for s in made_up()}
  found = [kinds[picture.title] for picture in pictures]
  assert found == [SEARCHED] * 3 + [HANDMADE]
