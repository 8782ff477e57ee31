"""A sweep that is as small as can be, for tests of it."""

import contextlib

import numpy as np
import pytest

from experiments.flags import cli, names, sources
from experiments.sweep import sweep_flags
from nasjax import cost, data, ops, report, spaces, zoo
from nasjax.run import search_loop, training
from tests.conftest import images
from tests.run.run_cases import FEW


def speck(*, image_size=8, channels=1, num_classes=10):
  """Six architectures."""
  return spaces.mobile(
    [spaces.Stage(8, 2, 2)],
    name='speck',
    image_size=image_size,
    channels=channels,
    num_classes=num_classes,
    stem=4,
    stem_stride=2,
    head=8,
    candidates=(ops.MBConv(3, 1), ops.MBConv(3, 3), ops.Skip()),
  )


SPACE = speck()
COMPILE_FOR = search_loop.compile_for


def few(n=120, test=50):
  """Images on which training does something, in no time."""
  labels = np.arange(n + test, dtype=np.int32) % 10
  pixels = (
    images(n + test) // 2 + (12 * labels).astype(np.uint8)[:, None, None, None]
  )
  arrays = data.Arrays(pixels, labels)
  first = data.Arrays(*(a[:n] for a in arrays))
  rest = data.Arrays(*(a[n:] for a in arrays))
  return data.Dataset('few', first, rest, tuple('abcdefghij'))


def config(**given):
  low, high = cost.macs(SPACE).bounds()
  limits = ','.join(f'{low + round(s * (high - low))}' for s in (0.5, 0.9))
  small = {
    'space': 'speck',
    'limits': f'macs={limits}',
    'search_seeds': 2,
    'outer_seeds': 1,
    'random': 1,
    'outer_random': 0,
    'fill': 0.8,
    'zoo': 'pocket,efficientnet_lite0',
    'outer_zoo': '',
    'epochs': 1,
    'batch_size': 8,
    'search_steps': 8,
    'search_warmup_steps': 2,
    'search_batch_size': 8,
    'search_log_every': 1,
    'search_checkpoint_every': 4,
    **{f'search_{name}': number for name, number in FEW.items()},
    # So that searches differ, though they are short.
    'search_alpha_learning_rate': 0.5,
  }
  return cli.defaults(sweep_flags.OPTIONS) | small | given


def pocket(*, width=1.0, image_size=8, channels=1, num_classes=10, divisor=4):
  """As if published, and small enough for these budgets."""
  widths = [zoo.round_to_multiple(n * width, divisor) for n in (8, 16)]
  return zoo.build.mobile(
    f'pocket@{width:g}',
    [zoo.build.repeat(ops.Separable(3), widths[1], 1, 2)],
    image_size=image_size,
    channels=channels,
    num_classes=num_classes,
    stem=widths[0],
    head=None,
    classifier=ops.Classifier(),
  )


@contextlib.contextmanager
def known():
  """What the flags above name is there meanwhile."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(sources, 'open_set', lambda *_: few())
    patch.setitem(names.NETWORKS, 'pocket', pocket)
    patch.setitem(names.SPACES, 'speck', speck)
    yield patch


@contextlib.contextmanager
def compiled_once():
  """As `known`; what searches and trainings compile is made once meanwhile.

  A search whose recipe is another one has to be given `COMPILE_FOR` again.
  """
  with known() as patch:
    patch.setattr(search_loop, 'compile_for', _once(COMPILE_FOR))
    patch.setattr(training, 'build', _once(training.build, lambda net: net))
    # What a search draws is looked at elsewhere.
    patch.setattr(report, 'search_figures', lambda *_: None)
    yield patch


def _once(function, key=lambda first: None):
  """The function, called once for each key, which is of its first argument."""
  made = {}

  def call(first, *args):
    if key(first) not in made:
      made[key(first)] = function(first, *args)
    return made[key(first)]

  return call
