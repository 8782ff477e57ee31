"""Ready-made spaces, one function each."""

from nasjax.spaces.fbnet import fbnet
from nasjax.spaces.mobile import (
  CANDIDATES,
  Stage,
  mobile,
  mobile_224,
  mobile_medium,
  mobile_small,
)
from nasjax.spaces.mobile_macro import mobile_macro, mobile_macro_small
from nasjax.spaces.mobile_width import mobile_width, mobile_width_small
from nasjax.spaces.mobilenet_v3 import mobilenet_v3
from nasjax.spaces.nasbench201 import (
  nasbench201,
  nasbench201_architecture,
  nasbench201_string,
)
from nasjax.spaces.nasbench_macro import nasbench_macro
from nasjax.spaces.proxylessnas import proxylessnas
from nasjax.spaces.tiny import tiny, tiny_macro, tiny_width

__all__ = [
  'CANDIDATES',
  'Stage',
  'fbnet',
  'mobile',
  'mobile_224',
  'mobile_macro',
  'mobile_macro_small',
  'mobile_medium',
  'mobile_small',
  'mobile_width',
  'mobile_width_small',
  'mobilenet_v3',
  'nasbench201',
  'nasbench201_architecture',
  'nasbench201_string',
  'nasbench_macro',
  'proxylessnas',
  'tiny',
  'tiny_macro',
  'tiny_width',
]
