"""What all scripts do with their flags, their input and their errors."""

import errno
import os
import re
import select
import shlex
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TextIO

from absl import app, flags, logging

from nasjax.errors import InputError
from nasjax.options import Options, defaults
from nasjax.printable import printable
from nasjax.run import interrupts, progress
from nasjax.run.workdir import lock

from . import allocator

# What is defined below is a script's own, so that its --help lists it.
flags.disclaim_key_flags()

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


def run(
  main: Callable[..., None],
  required: Sequence[str] = (),
  arguments: str | None = None,
) -> None:
  """Runs a script: bad input is one line on stderr and exit code 1.

  It ends quietly if nobody reads its output any more, as in `... | head`, and
  in one line after Ctrl-C (exit code 130) or SIGTERM (143). Any other exception
  is a defect and keeps its traceback.

  Args:
    main: takes nothing, or the arguments; the flags are parsed before it.
    required: names of the flags that have to be given.
    arguments: what stands on the command line besides flags, at least one of
      it; None is nothing.
  """

  def parsed(argv: Sequence[str]) -> list[str]:
    try:
      return flags.FLAGS(argv)
    except flags.Error as e:
      print(f'error: {_explained(e)}', file=sys.stderr)
      sys.exit(1)

  def guarded(argv: Sequence[str]) -> int:
    try:
      given = argv[1:]
      if given and arguments is None:
        raise InputError(
          f'unexpected argument {given[0]!r}; flags are written --name=value'
        )
      require(required)
      if arguments is not None and not given:
        raise InputError(f'missing {arguments}: give at least one')
      allocator.keep_pages()
      main(*([] if arguments is None else [given]))
    except InputError as e:
      return _failed(str(e))
    except interrupts.Stopped as e:
      interrupts.end(e)
    except BrokenPipeError:
      raise
    except OSError as e:
      if e.errno not in _FULL:
        raise
      return _failed(f'{e.filename or "a file"}: {e.strerror}')
    return 0

  # What TFDS, Orbax and Pillow warn of is nothing that a user could change, and
  # an error is to be one line.
  logging.set_verbosity(logging.ERROR)
  warnings.filterwarnings('ignore', module='PIL')
  interrupts.on_exit(lock.release_all)
  interrupts.listen()
  try:
    try:
      app.run(guarded, flags_parser=parsed)
    except SystemExit:
      sys.stdout.flush()  # If left to the interpreter, nobody can catch it.
      raise
  except BrokenPipeError:
    if not _nobody_reads(sys.stdout):
      raise
    # What is left in the buffer must not raise again when Python ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(128 + signal.SIGPIPE)  # As of a program that the signal ends.


def _failed(message: str) -> int:
  """Prints an error; the exit code."""
  # What a file or a flag says must not write over the terminal.
  print(f'error: {printable(flagged(message))}', file=sys.stderr)
  if progress.activities():
    # Python would wait for a compilation that nobody needs any more.
    interrupts.leave(1)
  return 1


def flagged(message: str) -> str:
  """A message in which fields with a value are flags: `steps=0`, `--steps=0`.

  The library knows no flags: it names the fields that they are made from.
  """

  name, verb, rest = message.partition(' is ')
  if verb and name in flags.FLAGS:
    message = f'--{name} is {rest}'

  def as_flag(match: re.Match) -> str:
    return f'--{match[0]}' if match[1] in flags.FLAGS else match[0]

  return re.sub(r'(?<![-\w=/.:\'"])([a-z]\w*)=(?=\S)', as_flag, message)


def _explained(error: flags.Error) -> str:
  """What absl says of a bad flag, in one line that says what would be right."""
  text, cause = str(error), error.__context__
  if isinstance(error, flags.UnrecognizedFlagError):
    text += '' if 'Did you mean' in text else '; --help lists what there is'
  elif isinstance(error, flags.IllegalFlagValueError) and cause is not None:
    given = text.removesuffix(f': {cause}').removeprefix('flag ')
    flag = flags.FLAGS[given.removeprefix('--').partition('=')[0]]
    wanted = 'true or false' if flag.boolean else flag.parser.syntactic_help
    text = f'{given}: it takes {wanted}' if wanted else text
  return ' '.join(text.split())


def _nobody_reads(pipe: TextIO) -> bool:
  poll = select.poll()
  poll.register(pipe, 0)  # Errors are told without being asked for.
  return bool(poll.poll(0))


def require(names: Iterable[str]) -> None:
  """Raises InputError where a flag was not given that has to be.

  Args:
    names: of the flags, which are parsed.
  """
  missing = [n for n in names if flags.FLAGS[n].value is None]
  if missing:
    wanted = (f'--{n} ({flags.FLAGS[n].help})' for n in missing)
    raise InputError(f'missing {" and ".join(wanted)}')


def one_of(names: Iterable[str]) -> str:
  """Help text of a flag that takes one of some names."""
  return f'one of {", ".join(names)}'


_DEFINE = {
  bool: flags.DEFINE_boolean,
  int: flags.DEFINE_integer,
  float: flags.DEFINE_float,
  list: flags.DEFINE_multi_string,
  str: flags.DEFINE_string,
  type(None): flags.DEFINE_string,
}


def define(options: Options) -> None:
  """Defines a flag for every option; the default says of which type."""
  unset = defaults(options)
  for name, (default, text) in options.items():
    kind = default if isinstance(default, type) else type(default)
    _DEFINE[kind](name, unset[name], text)


def values(options: Options) -> dict[str, Any]:
  """The value of every option, from the command line or the default."""
  return {name: flags.FLAGS[name].value for name in options}


def given(options: Options) -> dict[str, Any]:
  """The options that were on the command line, even with a default."""
  present = (name for name in options if flags.FLAGS[name].present)
  return {name: flags.FLAGS[name].value for name in present}


def define_workdir() -> None:
  """Defines `--workdir`, which every script that writes requires."""
  flags.DEFINE_string('workdir', None, 'folder that the run is kept in')


def command(module: str) -> str:
  """The command line of this process, as it can be typed again."""
  first, *rest = sys.argv
  if first.startswith('nasjax '):  # The installed command.
    return shlex.join([*first.split(), *rest])
  return shlex.join(['python', '-m', module, *rest])
