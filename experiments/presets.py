"""Published recipes, as flags.

`--preset=NAME` sets the flags that stand here; what is typed beside it counts
more. Numbers are those of the papers or of their authors' code, as `source`
says; `differs` says what this project does otherwise or what is not published.
Accuracies are from the papers, for ImageNet at 224 pixels: nobody ran these
recipes here.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from experiments import cli


@dataclasses.dataclass(frozen=True)
class Preset:
  """A published recipe.

  Attributes:
    flags: what it sets.
    source: where its numbers are from.
    command: how it is run.
    differs: what is not as published.
    published: top-1 accuracy on ImageNet in per cent, by network; from the
      paper, not run here.
  """

  flags: Mapping[str, Any]
  source: str
  command: str
  differs: str
  published: Mapping[str, float] = dataclasses.field(default_factory=dict)


_IMAGENET = '--dataset=imagenet2012 --data_dir=DIR --image_size=224'


def _train(name: str, what: str = '') -> str:
  return (
    f'python -m experiments.train --workdir=RUN --preset={name} {what}'
    f'{_IMAGENET} --stream'
  )


def _search(name: str) -> str:
  return (
    f'python -m experiments.search --workdir=RUN --preset={name} '
    f'--limit=macs=300M {_IMAGENET}'
  )


_ASYNCHRONOUS = (
  '16 workers trained asynchronously, of which this is one; how long, the '
  'paper does not say: 300 epochs are a guess, as is no label smoothing.'
)
_CROPS = 'Colours are not changed.'

TRAIN: Mapping[str, Preset] = {
  'mobilenet_v2': Preset(
    {
      'network': 'mobilenet_v2',
      'optimizer': 'rmsprop',
      'momentum': 0.9,
      'rms_decay': 0.9,
      'rms_epsilon': 1.0,
      'schedule': 'staircase',
      'learning_rate': 0.045,
      'warmup': 0.0,
      'stair_epochs': 1.0,
      'stair_factor': 0.98,
      'weight_decay': 4e-5,
      'batch_size': 96,
      'epochs': 300,
      'smoothing': 0.0,
    },
    source='Sandler et al. 2018, section 6.1; the epsilon is the default of '
    'the training script of TensorFlow slim, with which they trained',
    command=_train('mobilenet_v2'),
    differs=f'{_ASYNCHRONOUS} {_CROPS}',
    published={'mobilenet_v2': 72.0},
  ),
  'mobilenet_v3': Preset(
    {
      'network': 'mobilenet_v3_large',
      'optimizer': 'rmsprop',
      'momentum': 0.9,
      'schedule': 'staircase',
      'learning_rate': 0.1,
      'warmup': 0.0,
      'stair_epochs': 3.0,
      'stair_factor': 0.99,
      'weight_decay': 1e-5,
      'batch_size': 4096,
      'epochs': 600,
      'dropout': 0.2,
      'ema_decay': 0.9999,
      'bn_momentum': 0.99,
      'smoothing': 0.0,
    },
    source='Howard et al. 2019, section 6.1.1, reading "decay rate of 0.01 '
    'every 3 epochs" as a factor of 0.99 and "dropout of 0.8" as what is kept',
    command=_train('mobilenet_v3'),
    differs='How long, the paper does not say, nor an epsilon, nor a warm-up: '
    f'600 epochs and 1e-3 are guesses. {_CROPS} Their search (MnasNet, then '
    'NetAdapt) is not by gradient and has no preset here.',
    published={'mobilenet_v3_large': 75.2, 'mobilenet_v3_small': 67.4},
  ),
  'fbnet': Preset(
    {
      'network': 'fbnet_b',
      'optimizer': 'sgd',
      'momentum': 0.9,
      'schedule': 'staircase',
      'learning_rate': 0.1,
      'warmup': 0.0,
      'stair_epochs': 90.0,
      'stair_factor': 0.1,
      'batch_size': 256,
      'epochs': 360,
      'smoothing': 0.0,
    },
    source='Wu et al. 2019, section 4.1',
    command=_train('fbnet'),
    differs="Momentum is Nesterov's; weight decay is this project's own "
    f'1e-4. {_CROPS}',
    published={'fbnet_a': 73.0, 'fbnet_b': 74.1, 'fbnet_c': 74.9},
  ),
  'proxylessnas': Preset(
    {
      'network': 'proxylessnas_mobile',
      'optimizer': 'sgd',
      'momentum': 0.9,
      'schedule': 'cosine',
      'learning_rate': 0.05,
      'warmup': 0.0,
      'weight_decay': 4e-5,
      'batch_size': 256,
      'epochs': 300,
      'smoothing': 0.1,
      'bn_momentum': 0.9,
      'bn_epsilon': 1e-3,
    },
    source='Cai et al. 2019; the numbers are the defaults of '
    'mit-han-lab/proxylessnas, search/imagenet_run_exp.py',
    command=_train('proxylessnas'),
    differs=_CROPS,
    published={
      'proxylessnas_mobile': 74.6,
      'proxylessnas_gpu': 75.1,
      'proxylessnas_cpu': 75.3,
    },
  ),
  'tunas': Preset(
    {
      'optimizer': 'rmsprop',
      'momentum': 0.9,
      'rms_decay': 0.9,
      'rms_epsilon': 1.0,
      'schedule': 'cosine',
      'learning_rate': 0.165 * 4096 / 256,
      'warmup': 0.025,
      'weight_decay': 4e-5,
      'batch_size': 4096,
      'epochs': 360,
      'dropout': 0.15,
      'smoothing': 0.1,
    },
    source='Bender et al. 2020; the numbers are those of '
    'google-research/tunas, mobile_train_eval.py, for 360 epochs and networks '
    'like MobileNetV2 (for those like MobileNetV3 --dropout=0.25)',
    command=_train('tunas', '--architecture=FILE '),
    differs=f'{_CROPS} Accuracies are of their networks; this trains any.',
  ),
}

# Steps per epoch of the searches, from what weights were trained on.
_IMAGENET_100 = 100 * 1281 * 8 // 10 // 192  # 80 % of 100 classes, about
_PROXYLESS = (1_281_167 - 50_000) // 256
_TUNAS = (1_281_167 - 50_046) // 4096
_HALVES = 'Weights and alphas have a half of the images each.'

SEARCH: Mapping[str, Preset] = {
  'fbnet': Preset(
    {
      'space': 'fbnet',
      'relax': 'gumbel_softmax',
      'temperature': 5.0,
      'final_temperature': 5.0 * math.exp(-0.045 * 80),
      'constraint': 'log_power',
      'strength': 0.6,
      'learning_rate': 0.1,
      'weight_decay': 1e-4,
      'alpha_learning_rate': 0.01,
      'alpha_weight_decay': 5e-4,
      'batch_size': 192,
      'steps': 90 * _IMAGENET_100,
      'warmup_steps': 10 * _IMAGENET_100,
      'smoothing': 0.0,
    },
    source='Wu et al. 2019, section 4.1: 90 epochs of 100 classes of ImageNet, '
    'the first 10 without alphas; temperature times exp(-0.045) an epoch',
    command=_search('fbnet'),
    differs='They search under latency, alphas move in a part of each epoch of '
    f'their own, on 20 % of the images, and their rate stays. {_HALVES}',
  ),
  'proxylessnas': Preset(
    {
      'space': 'proxylessnas',
      'relax': 'binary_gates',
      'constraint': 'log_power',
      'strength': 0.3,
      'learning_rate': 0.025,
      'weight_decay': 4e-5,
      'alpha_learning_rate': 1e-3,
      'batch_size': 256,
      'steps': 160 * _PROXYLESS,
      'warmup_steps': 40 * _PROXYLESS,
      'smoothing': 0.1,
    },
    source='Cai et al. 2019; the numbers are the defaults of '
    'mit-han-lab/proxylessnas, search/imagenet_arch_search.py',
    command=_search('proxylessnas'),
    differs='They step the alphas after every fifth step of the weights, with '
    f"a rate that stays and Adam's b1 = 0, and decay BN as well. {_HALVES}",
  ),
  'tunas': Preset(
    {
      'space': 'proxylessnas',
      'relax': 'gdas',
      'constraint': 'absolute',
      'strength': 0.1,
      'optimizer': 'rmsprop',
      'rms_epsilon': 1.0,
      'learning_rate': 0.165 * 4096 / 256,
      'warmup': 0.025,
      'weight_decay': 4e-5,
      'batch_size': 4096,
      'steps': 90 * _TUNAS,
      'warmup_steps': 90 * _TUNAS // 4,
      'smoothing': 0.1,
    },
    source='Bender et al. 2020; the numbers are the defaults of '
    'google-research/tunas, mobile_architecture_search.py',
    command=_search('tunas'),
    differs='They move the alphas by REINFORCE on accuracy, with a penalty of '
    '0.1 times the relative distance from the target; here it is on the loss, '
    f"by the gradient of sampled ops, at this project's rate. {_HALVES}",
  ),
}


def applied(
  config: Mapping[str, Any],
  given: Mapping[str, Any],
  presets: Mapping[str, Preset],
) -> dict[str, Any]:
  """Flags with those of `--preset`; what was typed counts more.

  Where a network or an architecture was typed, no preset's network counts.

  Args:
    config: a value for every option.
    given: those that were typed.
    presets: what `--preset` is one of.

  Raises:
    InputError: there is no such preset.

  Example:
    >>> config = {'preset': 'fbnet', 'epochs': 6, 'batch_size': 32}
    >>> found = applied(config, {'batch_size': 64}, TRAIN)
    >>> found['epochs'], found['batch_size'], found['learning_rate']
    (360, 64, 0.1)
  """
  if config['preset'] is None:
    return dict(config)
  flags = dict(cli.lookup('preset', config['preset'], presets).flags)
  if 'architecture' in given:
    flags.pop('network', None)
  return {**config, **flags, **given}


def option(presets: Mapping[str, Preset]) -> tuple[None, str]:
  """The `--preset` flag."""
  return None, f'a published recipe, {cli.one_of(presets)}'
