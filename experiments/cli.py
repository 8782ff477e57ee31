"""What all scripts do with their flags, their input and their errors."""

import errno
import os
import select
import shlex
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TextIO, TypeVar

from absl import app, flags, logging

from experiments import allocator, interrupts, lock, progress
from nasjax.errors import InputError
from nasjax.printable import printable

T = TypeVar('T')
# What is defined below is a script's own, so that its --help lists it.
flags.disclaim_key_flags()

# What is computed with single precision has to be finite there.
LARGEST = 3.4e38
LARGEST_COUNT = 2**31 - 1  # Steps are counted in 32 bits.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
_SUFFIXES = {'k': 1e3, 'M': 1e6, 'G': 1e9}


def run(main: Callable[[], None], required: Sequence[str] = ()) -> None:
  """Runs a script: bad input is one line on stderr and exit code 1.

  It ends quietly if nobody reads its output any more, as in `... | head`, and
  in one line after Ctrl-C (exit code 130) or SIGTERM (143). Any other exception
  is a defect and keeps its traceback.

  Args:
    main: takes nothing; the flags are parsed before it.
    required: names of the flags that have to be given.
  """

  def parsed(argv: Sequence[str]) -> list[str]:
    try:
      return flags.FLAGS(argv)
    except flags.Error as e:
      print(f'error: {_explained(e)}', file=sys.stderr)
      sys.exit(1)

  def guarded(argv: Sequence[str]) -> int:
    try:
      if len(argv) > 1:
        raise InputError(
          f'unexpected argument {argv[1]!r}; flags are written --name=value'
        )
      require(required)
      allocator.keep_pages()
      main()
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
  print(f'error: {printable(message)}', file=sys.stderr)
  if progress.activities():
    # Python would wait for a compilation that nobody needs any more.
    interrupts.leave(1)
  return 1


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


def lookup(kind: str, name: str, known: Mapping[str, T]) -> T:
  """`known[name]`, or an InputError that lists what is known.

  Example:
    >>> lookup('space', 'a', {'a': 1})
    1
  """
  if name not in known:
    raise InputError(f'unknown {kind} {name!r}; choose from {", ".join(known)}')
  return known[name]


def one_of(names: Iterable[str]) -> str:
  """Help text of a flag that takes one of some names."""
  return f'one of {", ".join(names)}'


def parse_limits(
  texts: Sequence[str], resources: Sequence[str]
) -> dict[str, float]:
  """Limits as typed, `resource=number`, with k, M or G as factors.

  Raises:
    InputError: no resource or an unknown one, no number, not positive, or a
      resource that is limited twice.

  Example:
    >>> parse_limits(['macs=1.5M', 'params=2e5'], ['macs', 'params'])
    {'macs': 1500000.0, 'params': 200000.0}
  """
  limits = {}
  for text in texts:
    resource, equals, number = text.partition('=')
    if not equals:
      raise InputError(
        f'limit {text!r} names no resource; write it as {resources[0]}=20e6 '
        f'(resources: {", ".join(resources)})'
      )
    if resource not in resources:
      raise InputError(
        f'limit {text!r}: unknown resource {resource!r}; choose from '
        f'{", ".join(resources)}'
      )
    if resource in limits:
      raise InputError(f'two limits on {resource}: give one')
    limits[resource] = parse_number(number, f'limit {text!r}')
    if not 0 < limits[resource] < LARGEST:
      raise InputError(f'limit {text!r} is not positive and finite')
  return limits


def parse_number(text: str, what: str) -> float:
  """A number as people write it: 300000, 3e5, 300k, 0.3M."""
  factor = _SUFFIXES.get(text[-1:], 1)
  try:
    return float(text[:-1] if factor != 1 else text) * factor
  except ValueError:
    raise InputError(
      f'{what}: {text!r} is no number; write it as 20e6 or 20M'
    ) from None


def check_least(least: int, **numbers: int) -> None:
  """Raises InputError where a named count is smaller, or larger than 32 bits.

  Example:
    >>> check_least(1, steps=240)
  """
  for name, number in numbers.items():
    if number < least:
      raise InputError(f'{name} is {number}; it must be at least {least}')
    if number > LARGEST_COUNT:
      raise InputError(
        f'{name} is {number}; it must be at most {LARGEST_COUNT}'
      )


def check_seed(seed: int, runs: int = 1) -> None:
  """Raises InputError unless a seed is one that JAX tells from all others.

  Args:
    seed: of which JAX uses 32 bits: larger ones would repeat smaller ones.
    runs: how many runs use it and those after it.

  Example:
    >>> check_seed(0)
  """
  most = 2**32 - runs
  if not 0 <= seed <= most:
    raise InputError(f'seed is {seed}; it must be 0 to {most}')


def check_positive(**numbers: float) -> None:
  """Raises InputError where one of some named numbers is not above 0.

  Example:
    >>> check_positive(learning_rate=0.1)
  """
  for name, number in numbers.items():
    if not 0 < number < LARGEST:
      raise InputError(f'{name} is {number}; it must be positive and finite')


def check_not_negative(**numbers: float) -> None:
  """Raises InputError where one of some named numbers is below 0.

  Example:
    >>> check_not_negative(weight_decay=0.0)
  """
  for name, number in numbers.items():
    if not 0 <= number < LARGEST:
      raise InputError(f'{name} is {number}; it must be 0 or more and finite')


# What a script can be told: name of the flag, its default (or its type, where
# it has none), its help text.
Options = Mapping[str, tuple[Any, str]]

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
  """What was given on the command line for every option."""
  return {name: flags.FLAGS[name].value for name in options}


def given(options: Options) -> dict[str, Any]:
  """What of the options was on the command line, default or not."""
  present = (name for name in options if flags.FLAGS[name].present)
  return {name: flags.FLAGS[name].value for name in present}


def defaults(options: Options) -> dict[str, Any]:
  """What the options are if nothing is given."""
  return {
    name: None if isinstance(default, type) else default
    for name, (default, _) in options.items()
  }


def refuse_ignored(
  config: Mapping[str, Any], options: Options, ignored: Iterable[str], why: str
) -> None:
  """Raises InputError where an option was given that nothing would read.

  Args:
    config: a value for every option.
    options: what the script can be told.
    ignored: the options without effect.
    why: as in "with --list".

  Example:
    >>> refuse_ignored({'width': 1.0}, {'width': (1.0, '')}, ['width'], 'here')
  """
  for name in ignored:
    if config[name] != defaults(options)[name]:
      raise InputError(
        f'--{name}={config[name]} has no effect {why}; leave it out'
      )


def define_workdir() -> None:
  """Defines `--workdir`, which every script that writes requires."""
  flags.DEFINE_string('workdir', None, 'where the run is kept')


def command(module: str) -> str:
  """The command line of this process, as it can be typed again."""
  return shlex.join(['python', '-m', module, *sys.argv[1:]])
