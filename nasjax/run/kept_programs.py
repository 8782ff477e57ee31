"""Where compiled programs are kept, and what happens to unusable ones.

Each jaxlib version and kind of CPU has a folder of its own: what was compiled
for one may not run on another. JAX compiles again what it cannot read, and
warns of each program; here that becomes one line for a run.
"""

import contextlib
import glob
import hashlib
import os
import pathlib
import platform
import re
import threading
import warnings
from typing import TextIO

import jaxlib

from nasjax.errors import InputError
from nasjax.run import progress

_CPUINFO = pathlib.Path('/proc/cpuinfo')
# What of /proc/cpuinfo decides which programs run, and is the same after every
# start: of x86, of Arm, of others.
_FIELDS = {
  *('vendor_id', 'cpu family', 'model', 'model name', 'flags'),
  *('cpu implementer', 'cpu architecture', 'cpu part', 'features'),
  *('cpu', 'isa', 'uarch'),
}
_WARNING = re.compile(
  'Error (reading|writing) persistent compilation cache entry for '
  r"'(?P<program>.*?)': (?P<reason>.*)",
  re.DOTALL,
)


def folder_name(version: str, machine: str, cpus: str) -> str:
  """The folder for programs of a jaxlib version and a kind of CPU.

  Args:
    version: of jaxlib.
    machine: as `platform.machine()` says it.
    cpus: the text of /proc/cpuinfo, or what else tells CPUs apart.

  Example:
    >>> folder_name('0.10.2', 'x86_64', 'model name: A')
    'jaxlib-0.10.2-x86_64-63b79838'
  """
  found = set()
  for line in cpus.splitlines():
    name, _, value = line.partition(':')
    if name.strip().casefold() in _FIELDS:
      found.add((name.strip(), ' '.join(sorted(value.split()))))
  content = repr(sorted(found) if found else cpus)
  digest = hashlib.sha256(content.encode()).hexdigest()[:8]
  return f'jaxlib-{version}-{machine}-{digest}'


def folder(directory: str) -> pathlib.Path:
  """The folder below `directory` for this machine; nothing is made yet.

  Raises:
    InputError: it cannot be made, or not be written to.
  """
  try:
    cpus = _CPUINFO.read_text(errors='replace')
  except OSError:  # Not on Linux.
    cpus = f'{platform.system()} {platform.processor()}'
  name = folder_name(jaxlib.__version__, platform.machine(), cpus)
  path = pathlib.Path(directory)
  try:
    path = path.expanduser().absolute() / name
    there = path
    while not there.exists():
      there = there.parent
    writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
  except (OSError, RuntimeError):  # Such as a home of nobody.
    writable = False
  if not writable:
    raise InputError(
      f'compile_cache {directory} cannot be written to; give another folder, '
      'or compile_cache=none'
    )
  return path


def listen(path: pathlib.Path) -> None:
  """Makes one line of all warnings that a program was not read or not kept.

  Programs that cannot be read are removed, since JAX replaces none.

  Args:
    path: the folder of programs.
  """
  warnings.filterwarnings('always', message=_WARNING.pattern.split(' (')[0])
  show, said, lock = warnings.showwarning, set(), threading.Lock()

  def showwarning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
  ) -> None:
    found = _WARNING.fullmatch(str(message))
    if found is None:
      show(message, category, filename, lineno, file, line)
      return
    what, program, reason = found.groups()
    with lock:
      _remove(path, program, newest=what == 'writing')
      first = what not in said
      said.add(what)
    if first:
      progress.note(_line(what, path, reason))

  warnings.showwarning = showwarning


def _line(what: str, path: pathlib.Path, reason: str) -> str:
  reason = ' '.join(reason.partition(": '")[0].split())
  short = reason if len(reason) < 100 else f'{reason[:96]} ...'
  if what == 'reading':
    return f'compiled anew: programs kept in {path} could not be used ({short})'
  return (
    f'programs cannot be kept in {path} ({short}); the next start compiles '
    'them again'
  )


def _remove(path: pathlib.Path, program: str, newest: bool) -> None:
  """Removes programs of a name, or the last, which was not written whole."""
  with contextlib.suppress(OSError):
    found = list(path.glob(f'{glob.escape(program)}-*-cache'))
    found.sort(key=lambda entry: entry.stat().st_mtime_ns)
    for entry in found[-1:] if newest else found:
      with contextlib.suppress(OSError):
        entry.unlink()
