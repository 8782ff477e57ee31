"""A space of small images."""

from nasjax import spaces

SPACE = spaces.mobile_macro_small(image_size=32, channels=3)
