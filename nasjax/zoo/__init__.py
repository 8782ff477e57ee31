"""Published networks, as spaces with one choice per slot.

They are counted, trained, derived, exported and plotted like any other space.
Their MACs and parameters are those of the implementations that are in common
use, to the unit. Each is a function with keyword arguments: `image_size`,
`channels`, `num_classes`, and `width` where the paper scales the network.
"""

from nasjax.ops import round_to_multiple
from nasjax.zoo.build import scale_widths, small_images
from nasjax.zoo.classic import (
  resnet18,
  resnet50,
  shufflenet_v2,
  squeezenet_1_1,
)
from nasjax.zoo.mnasnet import (
  efficientnet_b0,
  efficientnet_lite0,
  mnasnet_a1,
  mnasnet_b1,
)
from nasjax.zoo.mobilenet import (
  mobilenet_v1,
  mobilenet_v2,
  mobilenet_v3_large,
  mobilenet_v3_small,
)
from nasjax.zoo.searched import (
  fbnet_a,
  fbnet_b,
  fbnet_c,
  hardcorenas_a,
  hardcorenas_f,
  proxylessnas_cpu,
  proxylessnas_gpu,
  proxylessnas_mobile,
  proxylessnas_mobile_14,
  spnasnet,
)

__all__ = [
  'efficientnet_b0',
  'efficientnet_lite0',
  'fbnet_a',
  'fbnet_b',
  'fbnet_c',
  'hardcorenas_a',
  'hardcorenas_f',
  'mnasnet_a1',
  'mnasnet_b1',
  'mobilenet_v1',
  'mobilenet_v2',
  'mobilenet_v3_large',
  'mobilenet_v3_small',
  'proxylessnas_cpu',
  'proxylessnas_gpu',
  'proxylessnas_mobile',
  'proxylessnas_mobile_14',
  'resnet18',
  'resnet50',
  'round_to_multiple',
  'scale_widths',
  'shufflenet_v2',
  'small_images',
  'spnasnet',
  'squeezenet_1_1',
]
