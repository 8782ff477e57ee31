"""`nasjax`: the scripts as subcommands, installed with the package.

nasjax search|train|count|compare|sweep|export|predict [--flags]
"""

import importlib
import sys

from .flags import early

SCRIPTS = {
  'search': 'search an architecture within limits',
  'train': 'train a network from scratch, and test it',
  'count': 'count MACs, parameters and memory',
  'compare': 'train the networks of a search beside alternatives',
  'sweep': 'search at several limits and seeds, train, report',
  'export': 'write a trained network as a file for phones',
  'predict': 'print the classes of images, by a trained network',
}


def main() -> None:
  """Runs the script that the first argument names."""
  name = sys.argv[1] if len(sys.argv) > 1 else '--help'
  if name in ('--help', '-h', '--version'):
    early.version_or(name, _usage())
    return
  if name not in SCRIPTS:
    print(
      f'error: unknown command {name!r}; choose from {", ".join(SCRIPTS)}',
      file=sys.stderr,
    )
    sys.exit(1)
  sys.argv = [f'nasjax {name}', *sys.argv[2:]]
  early.begin(name)
  place = f'.{name}.__main__' if name == 'sweep' else f'.{name}'
  importlib.import_module(place, __package__).start()


def _usage() -> str:
  lines = [f'  {name:8} {text}' for name, text in SCRIPTS.items()]
  return '\n'.join(
    [
      'usage: nasjax COMMAND --flag=value ...',
      '',
      *lines,
      '',
      '`nasjax COMMAND --help` lists the flags of a command.',
      '',
    ]
  )
