"""Networks to compare a search with: published ones, and hand-made ones.

`within` scales a published network to a budget; `handmade.within` builds a
network of a space as one would without a search.
"""

from nasjax.baselines import handmade
from nasjax.baselines.adapted import SMALL_IMAGES, at_width, for_images
from nasjax.baselines.scaled import within

__all__ = ['SMALL_IMAGES', 'at_width', 'for_images', 'handmade', 'within']
