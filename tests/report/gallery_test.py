"""Pictures of networks side by side."""

from nasjax.report import gallery
from tests.report.sweep_figure_cases import drawn_networks


def test_a_gallery_has_every_slot_of_every_network_and_keeps_texts_apart():
  networks = drawn_networks(8)
  pictures = [
    gallery.Picture(n, f'searched_2.00M_seed{i}', 'test 80.00 %, n = 2')
    for i, n in enumerate(networks)
  ]
  figure = gallery._gallery(pictures)
  (axes,) = figure.axes
  texts = [t.get_text() for t in axes.texts]
  for network in networks:
    for slot in network.slots:
      if slot.ops[0].name == 'skip':
        continue
      assert any(t.endswith(f' {slot.features}') for t in texts)
  skips = sum(s.ops[0].name == 'skip' for n in networks for s in n.slots)
  assert texts.count('skip') == skips > 0
  figure.draw_without_rendering()
  renderer = figure.canvas.get_renderer()
  boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in axes.texts]
  for i, (one, box) in enumerate(boxes):
    assert figure.bbox.count_contains([box.min, box.max]) == 2, one
    for other, b in boxes[:i]:
      assert not box.overlaps(b), (one, other)
