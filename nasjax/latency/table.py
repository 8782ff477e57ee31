"""Tables of latency: times of blocks on one device, and where they are from."""

import dataclasses
import datetime
import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from nasjax import files
from nasjax.errors import InputError

FORMAT = 1  # Raised when the meaning of a file changes.
FIXED = 'fixed'  # Key of the part that no choice affects.
KINDS = ('blocks', 'choices')
_LARGEST_MS = 1e9
_LARGEST_INT = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class LatencyTable:
  """Times of the parts of a space's networks on one device, in ms.

  Attributes:
    space: name of the space.
    entries: key to ms, at least 0. Of `kind='blocks'` a key is
      `nasjax.latency.block_key`. Of `kind='choices'` it is `choice/option`, and
      `fixed` for the part of a network that no choice affects.
    kind: `'blocks'` or `'choices'`.
    image_size: height and width of the images, pixels; None is unknown, as in
      all that follow.
    num_classes: of the classifier.
    dtype: that the device computed in, such as `float32` or `int8`.
    runtime: that ran the networks, such as `litert`.
    version: of the runtime.
    delegate: of the runtime, such as `xnnpack`.
    threads: how many it used.
    device: where it ran.
    date: of the measurement, `YYYY-MM-DD`.
    statistic: of the repeats that an entry is, such as `median`.
    spread: typical relative spread of an entry, such as 0.002.
    scale: factor of every entry in the time of a network. Blocks that run alone
      find their weights in the cache, so their sum is too short.
    error: mean relative error for networks that were left out of the fit.
    error_of: how they were left out, such as `leave-one-out`.

  Raises:
    InputError: a field of another type or out of its range; the message names
      the entry and its value.

  Example:
    >>> table = LatencyTable('tiny', {'conv-input:8x8x3': 0.5}, scale=1.1)
    >>> table.ms('conv-input:8x8x3')
    0.55
  """

  space: str
  entries: Mapping[str, float]
  kind: str = 'blocks'
  image_size: int | None = None
  num_classes: int | None = None
  dtype: str | None = None
  runtime: str | None = None
  version: str | None = None
  delegate: str | None = None
  threads: int | None = None
  device: str | None = None
  date: str | None = None
  statistic: str | None = None
  spread: float | None = None
  scale: float = 1.0
  error: float | None = None
  error_of: str | None = None

  def __post_init__(self):
    if not isinstance(self.space, str):
      raise InputError(f'space is {self.space!r}; it must be text')
    if self.kind not in KINDS:
      raise InputError(
        f'kind is {self.kind!r}; it must be one of {", ".join(KINDS)}'
      )
    for name in _TEXTS:
      value = getattr(self, name)
      if value is not None and not isinstance(value, str):
        raise InputError(f'{name} is {value!r}; it must be text')
    for name in _COUNTS:
      value = getattr(self, name)
      if value is not None and not (_whole(value) and value >= 1):
        raise InputError(f'{name} is {value!r}; it must be a whole number of 1')
    for name in _SHARES:
      value = getattr(self, name)
      if value is not None and not _within(value, _LARGEST_MS):
        raise InputError(
          f'{name} is {value!r}; it must be a number of 0 or more'
        )
    if not _within(self.scale, _LARGEST_MS) or self.scale == 0:
      raise InputError(f'scale is {self.scale!r}; it must be a number above 0')
    if self.date is not None:
      try:
        datetime.date.fromisoformat(self.date)
      except ValueError:
        raise InputError(
          f'date is {self.date!r}; it must be YYYY-MM-DD'
        ) from None
    if not isinstance(self.entries, Mapping) or not self.entries:
      raise InputError(
        f'entries is {self.entries!r}; it must map at least one key to ms'
      )
    for key, ms in self.entries.items():
      if not isinstance(key, str):
        raise InputError(f'entries has the key {key!r}; keys are text')
      if not _within(ms, _LARGEST_MS):
        raise InputError(
          f'entry {key!r} is {ms!r}; it must be ms, a number from 0 to '
          f'{_LARGEST_MS:g}'
        )
    # The caller's mapping may change later.
    entries = {key: float(ms) for key, ms in sorted(self.entries.items())}
    object.__setattr__(self, 'entries', entries)

  def __hash__(self) -> int:
    return hash((self.space, tuple(self.entries.items())))

  def ms(self, key: str) -> float:
    """An entry times `scale`, in ms.

    Raises:
      KeyError: there is none.
    """
    return self.entries[key] * self.scale

  def save(self, path: str | pathlib.Path) -> None:
    """Writes the table as JSON, whole or not at all.

    Args:
      path: of the file; what is there is replaced.

    Raises:
      InputError: it cannot be written; what is there stays.
    """
    fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
    # The entries are long, so they stand last.
    entries = fields.pop('entries')
    files.write_json(
      path, {'latency_table': FORMAT, **fields, 'entries': entries}
    )

  @classmethod
  def load(cls, path: str | pathlib.Path) -> 'LatencyTable':
    """Reads what `save` wrote.

    Args:
      path: of the file.

    Raises:
      InputError: the file is missing, truncated, no latency table or one of
        another format version; a field is missing, unknown, given twice, of
        another type or out of its range.

    Example:
      >>> import tempfile
      >>> table = LatencyTable('tiny', {'fixed': 0.5}, 'choices', device='A')
      >>> with tempfile.TemporaryDirectory() as folder:
      ...   table.save(f'{folder}/table.json')
      ...   LatencyTable.load(f'{folder}/table.json') == table
      True
    """
    try:
      document = json.loads(files.read_text(path), object_pairs_hook=_unique)
    except OSError as e:
      raise InputError(f'latency table {path}: {e.strerror}') from e
    except InputError as e:
      raise InputError(f'latency table {path} {e}') from e
    except (ValueError, RecursionError) as e:
      raise InputError(
        f'latency table {path} is truncated or no JSON: {e}'
      ) from e
    if not isinstance(document, dict) or 'latency_table' not in document:
      raise InputError(f'{path} is no latency table: it has no "latency_table"')
    found = document.pop('latency_table')
    if found != FORMAT or isinstance(found, bool):
      raise InputError(
        f'latency table {path} has format {found!r}; this version of nasjax '
        f'reads {FORMAT}'
      )
    known = [field.name for field in dataclasses.fields(cls)]
    _check_names(path, 'lacks', set(known) - set(document))
    _check_names(path, 'has the unknown', set(document) - set(known))
    try:
      return cls(**document)
    except InputError as e:
      raise InputError(f'latency table {path}: {e}') from e


_TEXTS = (
  *('dtype', 'runtime', 'version', 'delegate', 'device', 'date', 'statistic'),
  'error_of',
)
_COUNTS = ('image_size', 'num_classes', 'threads')
_SHARES = ('spread', 'error')


def _whole(value: Any) -> bool:
  return (
    isinstance(value, int)
    and not isinstance(value, bool)
    and value <= _LARGEST_INT
  )


def _within(value: Any, most: float) -> bool:
  """Whether a value is a number from 0 to `most`; NaN is not."""
  number = isinstance(value, int | float) and not isinstance(value, bool)
  return number and 0 <= value <= most


def _check_names(path: Any, what: str, names: Iterable[str]) -> None:
  if listed := ', '.join(sorted(names)):
    raise InputError(f'latency table {path} {what} {listed}')


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  found: dict[str, Any] = {}
  for key, value in pairs:
    if key in found:
      raise InputError(f'has {key!r} twice; give one')
    found[key] = value
  return found
