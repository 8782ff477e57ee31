"""Published recipes, as flags.

Each was compared with what `source` names: papers, and files of their authors'
repositories. `unstated` says which numbers stand in no source and are this
project's choice, `differs` what this project does otherwise. Accuracies are
from the papers, for ImageNet at 224 pixels: nobody ran these recipes here.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Preset:
  """A published recipe.

  Attributes:
    flags: what it sets.
    source: where its numbers are from.
    command: how it is run.
    differs: what is not as published.
    unstated: what no source says.
    published: top-1 accuracy on ImageNet in per cent, by network; from the
      paper, not run here.
  """

  flags: Mapping[str, Any]
  source: str
  command: str
  differs: str
  unstated: str
  published: Mapping[str, float] = dataclasses.field(default_factory=dict)


_IMAGENET = '--dataset=imagenet2012 --data_dir=DIR --image_size=224 --stream'


def _train(name: str, what: str = '') -> str:
  return (
    f'python -m experiments.train --workdir=RUN --preset={name} {what}'
    f'{_IMAGENET}'
  )


def _search(name: str) -> str:
  return (
    f'python -m experiments.search --workdir=RUN --preset={name} '
    f'--limit=macs=300M {_IMAGENET}'
  )


_COLOURS = 'Colours are not changed.'
# Least share of an image that the code of Inception's authors cuts out.
_INCEPTION = '--crop_area=0.05 '

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
      'stair_epochs': 2.5,
      'stair_factor': 0.98,
      'weight_decay': 4e-5,
      'batch_size': 96,
      'epochs': 5_500_000 * 96 // 1_281_167,
      'smoothing': 0.1,
      'ema_decay': 0.9999,
      'dropout': 0.2,
      'bn_momentum': 0.997,
      'bn_epsilon': 1e-3,
    },
    source='Sandler et al. 2018, section 6.1 (optimizer, rate, decay, batch); '
    'how its authors say 72.0 is reached on one GPU, in 5.5 million steps: '
    'tensorflow/models, research/slim/nets/mobilenet/README.md (smoothing, '
    'averages, stairs), mobilenet.py (dropout, batch norm), '
    'train_image_classifier.py (epsilon)',
    command=_train('mobilenet_v2', _INCEPTION),
    differs='The paper has 16 workers, asynchronous, and a stair each epoch. '
    f'In the code depthwise kernels do not decay. {_COLOURS}',
    unstated='nothing',
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
    source='Howard et al. 2019, section 6.1, reading "decay rate of 0.01 every '
    '3 epochs" as a factor of 0.99 and "dropout of 0.8" as what is kept',
    command=_train('mobilenet_v3', _INCEPTION),
    differs=f'{_COLOURS} Their search (MnasNet, then NetAdapt) is not by '
    'gradient and has no preset here.',
    unstated='How long: 600 epochs. Decay and epsilon of RMSProp: 0.9, as is '
    "TensorFlow's default, and 1e-3. A warm-up, smoothing: none. Epsilon of "
    "batch norm: this project's. The authors' repository says none of it.",
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
    source='Wu et al. 2019, section 4.1. Compared were only the accuracies: '
    'the authors published networks (facebookresearch/mobile-vision) but no '
    'training, and the text of the section was not at hand',
    command=_train('fbnet'),
    differs=f"Momentum is Nesterov's. {_COLOURS}",
    unstated="Weight decay and batch norm: this project's. Smoothing: none.",
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
      'dropout': 0.1,
      'bn_momentum': 0.9,
      'bn_epsilon': 1e-3,
    },
    source='Cai et al. 2019; the numbers are those of '
    'mit-han-lab/proxylessnas, search/README.md (dropout: for '
    'proxylessnas_cpu 0.2, for proxylessnas_gpu 0.3) and '
    'search/imagenet_run_exp.py',
    command=_train('proxylessnas'),
    differs=f'{_COLOURS} In the code biases decay.',
    unstated='nothing',
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
      'bn_momentum': 0.99,
      'bn_epsilon': 1e-3,
    },
    source='Bender et al. 2020; the numbers are those of '
    'google-research/google-research, tunas/mobile_train_eval.py and '
    'tunas/rematlib, for 360 epochs and networks like MobileNetV2 (for those '
    'like MobileNetV3 --dropout=0.25)',
    command=_train('tunas', '--architecture=FILE '),
    differs=f'{_COLOURS} In the code the kernel of the classifier does not '
    'decay. Accuracies are of their networks; this trains any.',
    unstated='nothing',
  ),
}

# Steps per epoch of the searches, from what weights were trained on.
_IMAGENET_100 = 100 * 1281 * 8 // 10 // 192  # 80 % of 100 classes, about
_PROXYLESS = (1_281_167 - 50_000) // 256
_TUNAS = (1_281_167 - 50_046) // 4096
_HALVES = 'Weights and alphas have a half of the images each.'
_BATCH_NORM = "Batch norm is this project's"

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
    'the first 10 without alphas; temperature times exp(-0.045) an epoch. '
    "Epochs, temperature and rates are compared with others' code after the "
    'paper (AnnaAraslanova/FBNet), the batch with another (JunrQ/NAS)',
    command=_search('fbnet'),
    differs='They search under latency, alphas move in a part of each epoch of '
    'their own, on 20 % of the images, and their rate stays. The command reads '
    f'all classes, for as many steps. {_HALVES}',
    unstated='Smoothing: none. '
    f'{_BATCH_NORM}. How long the rate of the weights falls: to the end.',
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
      'steps': (40 + 120) * _PROXYLESS,
      'warmup_steps': (40 + 1) * _PROXYLESS,
      'smoothing': 0.1,
    },
    source='Cai et al. 2019; the numbers are the defaults of '
    'mit-han-lab/proxylessnas, search/imagenet_arch_search.py and '
    'search/nas_manager.py; 300M is what it divides by',
    command=_search('proxylessnas'),
    differs='They step the alphas after every fifth step of the weights, '
    "without smoothing, with a rate that stays and Adam's b1 = 0; by default "
    'their code computes all paths for it ("full_v2"), as the paper does not. '
    'In their warm-up the rate of the weights falls from 0.05 to 0, and after '
    'it from 0.025; all parameters decay. '
    f'{_BATCH_NORM} (theirs has an epsilon of 1e-3). {_HALVES}',
    unstated='nothing',
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
    'google-research/google-research, tunas/mobile_architecture_search.py',
    command=_search('tunas'),
    differs='They move the alphas by REINFORCE on accuracy, with a penalty of '
    '0.1 times the relative distance from the target; here it is on the loss, '
    "by the gradient of sampled ops, at this project's rate (theirs, of Adam "
    'with b1 = 0 on batches four times as large, rises from 0.0048 to 0.048). '
    'In the first quarter they run all ops and drop ever more of them. '
    f'{_BATCH_NORM} (theirs has an epsilon of 1e-3). {_HALVES}',
    unstated='nothing',
  ),
}
