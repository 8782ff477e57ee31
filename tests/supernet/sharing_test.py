"""What shares weights, and what is named because it cannot."""

from nasjax import ops
from nasjax.supernet import sharing
from tests.supernet.entangled_cases import SPACES, MBConv, Stage, make_cut


def test_what_shares_no_weights_is_named():
  found = {name: sharing.unentangled(s) for name, s in SPACES.items()}
  other = ('separable_k3', 'basic_k3')
  assert found.pop('another block') == {'stage1_1': other, 'stage1_2': other}
  alone = ('mbconv_k3_e2_hard_swish_se2_se_by2',)
  assert found.pop('squeeze-excite and activations') == {'stage1_1': alone}
  assert not any(found.values())
  blocks = sharing.blocks(SPACES['squeeze-excite and activations'])
  assert set(blocks.values()) == {2}
  assert sharing.blocks(SPACES['another block']) == dict.fromkeys(
    ('stage1_1', 'stage1_2'), 3
  )
  # Alone in its slot, but of a width that is a choice.
  wide = make_cut([Stage((4, 6), 1)], (ops.Separable(3),))
  assert sharing.unentangled(wide) == {'stage1_1': ('separable_k3',)}
  grouped = make_cut([Stage((4, 6), 1)], (MBConv(3, 2, groups=2),))
  assert list(sharing.unentangled(grouped)) == ['stage1_1']


def test_kernels_that_do_not_align_share_nothing():
  """At stride 2 a kernel of 1 is not the middle of one of 3."""
  candidates = MBConv(1, 3), MBConv(3, 3), MBConv(5, 3)
  s = make_cut([Stage(4, 1, 2)], candidates)
  assert sharing.unentangled(s) == {'stage1_1': ('mbconv_k1_e3',)}


def test_what_inherits_from_a_block_has_weights_of_its_own():
  class Own(MBConv):
    name = 'own'

  s = make_cut([Stage(4, 1)], (MBConv(3, 3), MBConv(5, 3), Own(3, 3)))
  assert sharing.unentangled(s) == {'stage1_1': ('own',)}
