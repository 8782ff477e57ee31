"""What the names on a command line stand for."""

import dataclasses
import importlib
import inspect
import os
import sys
import types
from collections.abc import Callable
from typing import Protocol

from nasjax import checks, spaces, zoo
from nasjax.baselines import adapted
from nasjax.errors import InputError
from nasjax.space import Space

SPACES = {
  'mobile_small': spaces.mobile_small,
  'mobile_medium': spaces.mobile_medium,
  'mobile_224': spaces.mobile_224,
  'fbnet': spaces.fbnet,
  'proxylessnas': spaces.proxylessnas,
  'mobilenet_v3': spaces.mobilenet_v3,
  'mobile_width': spaces.mobile_width,
  'mobile_width_small': spaces.mobile_width_small,
  'mobile_macro': spaces.mobile_macro,
  'mobile_macro_small': spaces.mobile_macro_small,
  'nasbench_macro': spaces.nasbench_macro,
  'tiny': spaces.tiny,
}
NETWORKS = {
  network.__name__: network
  for network in (
    zoo.mobilenet_v1,
    zoo.mobilenet_v2,
    zoo.mobilenet_v3_large,
    zoo.mobilenet_v3_small,
    zoo.mnasnet_b1,
    zoo.mnasnet_a1,
    zoo.fbnet_a,
    zoo.fbnet_b,
    zoo.fbnet_c,
    zoo.spnasnet,
    zoo.proxylessnas_mobile,
    zoo.proxylessnas_cpu,
    zoo.proxylessnas_gpu,
    zoo.proxylessnas_mobile_14,
    zoo.efficientnet_b0,
    zoo.efficientnet_lite0,
    zoo.hardcorenas_a,
    zoo.hardcorenas_f,
    zoo.shufflenet_v2,
    zoo.squeezenet_1_1,
    zoo.resnet18,
    zoo.resnet50,
  )
}


def space(name: str) -> Callable[..., Space]:
  """A preset, or `module:function` for a space of the user's own.

  Raises:
    InputError: there is no such preset, module or function.
  """
  module, colon, function = name.partition(':')
  if not colon:
    return checks.lookup('space', name, SPACES)
  found = getattr(_module(module), function, None)
  if not callable(found):
    raise InputError(f'module {module!r} has no function {function!r}')

  def made(**sizes: int) -> Space:
    try:
      inspect.signature(found).bind(**sizes)
    except (TypeError, ValueError) as e:
      raise InputError(
        f'space {name!r} is not made from {", ".join(sizes)}: {e}'
      ) from e
    own = found(**sizes)
    if not isinstance(own, Space):
      raise InputError(f'space {name!r} is no nasjax.space.Space but {own!r}')
    return own

  return made


def ops_of(module: str | None) -> tuple[type, ...]:
  """The op classes that a module defines, for architectures that name them.

  Raises:
    InputError: there is no such module, or it defines no op.
  """
  if module is None:
    return ()
  found = tuple(
    cls
    for cls in vars(_module(module)).values()
    if dataclasses.is_dataclass(cls)
    and isinstance(cls, type)
    and hasattr(cls, 'fits')
  )
  if not found:
    raise InputError(
      f'module {module!r} defines no op: a frozen dataclass with name, fits '
      'and module'
    )
  return found


def _module(name: str) -> types.ModuleType:
  if not name or name.startswith('.'):
    raise InputError(f'{name!r} is no name of a module')
  # `python -m` looks in the current folder, the installed command does not.
  if not {'', os.getcwd()} & set(sys.path):
    sys.path.append(os.getcwd())
  try:
    return importlib.import_module(name)
  except ModuleNotFoundError as e:
    if e.name is None or not f'{name}.'.startswith(f'{e.name}.'):
      raise  # Something that the module itself imports is missing.
    raise InputError(
      f'there is no module {name!r} here or among what is installed'
    ) from e


def network(name: str, width: float = 1.0) -> Callable[..., Space]:
  """A published network of some width, still to be given its images.

  Raises:
    InputError: there is no such network, or it comes in one width only.
  """
  return adapted.at_width(checks.lookup('network', name, NETWORKS), width)


class Named(Protocol):
  """A configuration whose fields name a network.

  Attributes:
    architecture: file of a found architecture; None with `network`.
    ops: module with the user's own ops.
    network: a published network; None with `architecture`.
    width: width multiplier of `network`.
  """

  architecture: str | None
  ops: str | None
  network: str | None
  width: float


def check_network(named: Named, teacher: str | None = None) -> None:
  """Holds that one of `architecture` and `network` is given, in full.

  Args:
    named: a dataclass with these fields.
    teacher: workdir of the teacher, which may have ops of the user's own.

  Raises:
    InputError: none or both, or a field that belongs to the other.
  """
  if (named.architecture is None) == (named.network is None):
    raise InputError('give either architecture=FILE or network=NAME')
  if named.network is None:
    checks.refuse_ignored(named, ['width'], 'with --architecture')
  elif teacher is None:
    checks.refuse_ignored(named, ['ops'], 'with --network')


def for_images(name: str, width: float, **sizes: int) -> Space:
  """A published network by name; see `nasjax.baselines.adapted.for_images`.

  Raises:
    InputError: there is no such network, or not for such images.
  """
  make = checks.lookup('network', name, NETWORKS)
  return adapted.for_images(make, width, **sizes)
