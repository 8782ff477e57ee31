"""The `--help` of the scripts: required and main flags, then groups.

  python -m experiments.flags.help

writes the texts into `help_texts/`. A script prints its text from there,
without the imports that define its flags.
"""

import importlib
import pathlib
import textwrap
from collections.abc import Mapping, Sequence

from absl import flags

SCRIPTS = (
  'search',
  'train',
  'count',
  'compare',
  'sweep',
  'export',
  'predict',
)
# Of a sweep unless it has --report, of a training unless it has --evaluate.
REQUIRED = {
  'search': ('workdir',),
  'train': ('workdir',),
  'compare': ('workdir', 'search'),
  'sweep': ('workdir',),
  'export': ('workdir',),
  'predict': ('workdir',),
}
_WIDTH = 79
_INDENT = ' ' * 6

# Heading to flags, in the order in which they are shown.
GROUPS: Mapping[str, tuple[str, ...]] = {
  'Required and main flags': (
    'workdir',
    'search',
    'network',
    'architecture',
    'width',
    'dataset',
    'space',
    'limit',
    'limits',
    'strengths',
    'format',
    'int8',
  ),
  'Images': (
    'data_dir',
    'train_split',
    'test_split',
    'test_fraction',
    'valid_fraction',
    'train_images',
    'image_size',
    'channels',
    'num_classes',
    'broken',
    'stream',
    'crop_area',
  ),
  'Limits': (
    'latency_table',
    'deploy_dtype',
    'constraint',
    'strength',
    'dual_rate',
    'fill',
    'fractions',
  ),
  'Supernet and relaxation': (
    'supernet',
    'relax',
    'temperature',
    'final_temperature',
  ),
  'How long, how much': (
    'preset',
    'epochs',
    'steps',
    'warmup_steps',
    'batch_size',
    'finalists',
    'finalist_epochs',
    'seed',
    'search_seeds',
    'outer_seeds',
    'train_seeds',
    'control_seeds',
    'random',
    'outer_random',
    'zoo',
    'outer_zoo',
  ),
  'Optimizers': (
    'optimizer',
    'momentum',
    'rms_decay',
    'rms_epsilon',
    'schedule',
    'learning_rate',
    'warmup',
    'stair_epochs',
    'stair_factor',
    'weight_decay',
    'clip_norm',
    'ema_decay',
    'alpha_learning_rate',
    'alpha_weight_decay',
    'order',
    'neumann_terms',
    'neumann_rate',
  ),
  'Regularisation': (
    'smoothing',
    'dropout',
    'drop_path',
    'cutout',
    'erasing',
    'mixup',
    'teacher',
    'distill_weight',
    'distill_temperature',
  ),
  'Against collapse': (
    'entropy',
    'skip_dropout',
    'fairness',
    'eigenvalue_every',
    'stop_skips',
    'stop_eigenvalue',
  ),
  'Precision and memory': (
    'dtype',
    'bn_momentum',
    'bn_epsilon',
    'remat',
    'skip_nonfinite',
    'huge_pages',
    'compile_cache',
  ),
}
_SEARCHES = 'Searches (as in `search`)'
_REST = 'Other'


def text(script: str) -> str:
  """The help text of a script.

  Args:
    script: one of `SCRIPTS`.
  """
  place = f'.{script}.__main__' if script == 'sweep' else f'.{script}'
  module = importlib.import_module(place, __package__.rpartition('.')[0])
  before = set(flags.FLAGS)
  module.define()
  own = [name for name in flags.FLAGS if name not in before]
  lines = [module.__doc__.strip(), '']
  found = {name: flags.FLAGS[name] for name in own}
  needed = REQUIRED.get(script, ())
  for heading, names in (*GROUPS.items(), (_SEARCHES, ()), (_REST, ())):
    if heading == _SEARCHES:
      names = [name for name in found if name.startswith('search_')]
    elif heading == _REST:
      names = list(found)
    shown = [found.pop(name) for name in names if name in found]
    if shown:
      lines += [f'{heading}:', *(_line(flag, needed) for flag in shown), '']
  for name in own:
    delattr(flags.FLAGS, name)
  lines.append('--version prints the version; --helpfull, all flags of absl.')
  return '\n'.join(lines) + '\n'


def _line(flag: flags.Flag, required: Sequence[str]) -> str:
  """A flag: its name and default, and what it is, in one or two lines."""
  default = flag.default
  shown = '' if default in (None, [], '') else f'={default}'
  if flag.boolean:
    shown = f'={str(bool(default)).lower()}'
  head = f'  --{flag.name}{shown}'
  if flag.name in required:
    head += ' (required)'
  words, *_ = flag.help.split(';\n')  # absl adds that it is repeatable.
  first = words.split(maxsplit=1)[0]
  if first.isalpha() and first.islower():  # No name of a file or the like.
    words = f'{words[:1].upper()}{words[1:]}'
  body = textwrap.fill(
    words,
    _WIDTH,
    initial_indent=_INDENT,
    subsequent_indent=_INDENT,
    break_on_hyphens=False,
  )
  return f'{head}\n{body}'


def write() -> list[pathlib.Path]:
  """Writes the help text of every script."""
  folder = pathlib.Path(__file__).parent / 'help_texts'
  folder.mkdir(exist_ok=True)
  paths = []
  for script in SCRIPTS:
    path = folder / f'{script}.txt'
    path.write_text(text(script))
    paths.append(path)
  return paths


if __name__ == '__main__':
  for path in write():
    print(f'wrote {path}')
