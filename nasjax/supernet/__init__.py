"""One Linen module per kind of supernet: the network that holds all candidates.

`Supernet` computes all ops of a slot, each with weights of its own, or those
that a relaxation sampled. `Entangled` computes the largest, of which the others
are parts. `CellNetwork` is that of a space of cells. `gates` tests whether a
supernet can rank networks.
"""

from nasjax.supernet.cell import CellNetwork
from nasjax.supernet.entangled import Entangled, EntangledSlot
from nasjax.supernet.gates import Gates, gates
from nasjax.supernet.mixed import Mixed, Supernet

__all__ = [
  'CellNetwork',
  'Entangled',
  'EntangledSlot',
  'Gates',
  'Mixed',
  'Supernet',
  'gates',
]
