"""The file of an architecture: JSON with its choice and all of its space.

`nasjax.space.Architecture.save` and `load` are the way in and out; here is what
the document holds. Ops are named by their classes and looked up among those
that the reader gives: a file alone never makes anything be imported.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from nasjax import files
from nasjax.errors import InputError
from nasjax.ops import Op
from nasjax.space.slots import LARGEST_SIZE, Slot, Width

_LARGEST = 2**20  # pixels or channels, beyond which sizes are no ints.
_WIDEST = 63  # Taps of a kernel across: each is traced by itself on a CPU.
FORMAT = 1  # Raised when the meaning of a file changes.


def write(
  path: str | pathlib.Path,
  choice: Mapping[str, Any],
  space: Mapping[str, Any],
  record: Mapping[str, Any],
) -> None:
  """Writes the file, whole or not at all.

  Args:
    path: where.
    choice: name of a choice to the option that was chosen, or to nested lists
      of them.
    space: the document of its space, see `nasjax.space.kinds.to_json`.
    record: what else is to be kept, as JSON values.
  """
  document = {
    'format': FORMAT,
    'choice': dict(choice),
    **record,
    'space': space,
  }
  files.write_json(path, document)


def read_record(path: str | pathlib.Path) -> dict[str, Any]:
  """The JSON document of an architecture file, its format version checked.

  Raises:
    InputError: the file cannot be read, is no JSON object, or has a format
      version that this version of nasjax does not know.

  Example:
    >>> import tempfile
    >>> from nasjax import space, spaces
    >>> tiny = spaces.tiny()
    >>> architecture = space.Architecture.from_indices(tiny, (0, 0, 0))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...   architecture.save(f'{folder}/a.json')
    ...   record = read_record(f'{folder}/a.json')
    >>> record['format'], record['choice']['stage1_1']
    (1, 'mbconv_k3_e1')
  """
  try:
    document = json.loads(files.read_text(path))
  except OSError as e:
    raise InputError(f'architecture file {path}: {e.strerror}') from e
  except (ValueError, RecursionError) as e:
    raise InputError(
      f'architecture file {path} is truncated or no JSON: {e}'
    ) from e
  if not isinstance(document, dict) or 'format' not in document:
    raise InputError(f'{path} is no architecture file: it has no "format"')
  if document['format'] != FORMAT:
    raise InputError(
      f'architecture file {path} has format {document["format"]!r}; this '
      f'version of nasjax reads {FORMAT}'
    )
  return document


def chain_to_json(fields: Mapping[str, Any]) -> dict[str, Any]:
  """The JSON document of a `nasjax.space.Space`, from its fields."""
  return {**fields, 'slots': [slot_to_json(slot) for slot in fields['slots']]}


def chain_fields(
  document: Mapping[str, Any], classes: Sequence[type]
) -> dict[str, Any]:
  """The fields of a `nasjax.space.Space`, from their JSON.

  Args:
    document: what `chain_to_json` made of the fields.
    classes: the op classes that may be named.

  Raises:
    InputError: an op that is none of `classes`, no slots, or sizes that are no
      positive ints.
    KeyError, TypeError, ValueError: other things that no file has.
  """
  known = {cls.__name__: cls for cls in classes}
  slots = tuple(slot_from_json(slot, known) for slot in document['slots'])
  check_text('name', document['name'])
  for pattern in document.get('patterns', ()):
    check_text('pattern', pattern)
  check_sizes(document['image_size'], document['channels'])
  if not slots:
    raise InputError('its space needs slots, got none')
  patterns = tuple(document.get('patterns', ()))
  return {**document, 'slots': slots, 'patterns': patterns}


def check_sizes(image_size: Any, channels: Any) -> None:
  """Raises InputError unless they are positive ints that images can have."""
  numbers = image_size, channels
  if not all(isinstance(n, int) and 0 < n <= _LARGEST for n in numbers):
    raise InputError(
      'its space needs a positive image_size and channels, got '
      f'{image_size!r} and {channels!r}'
    )


def slot_to_json(slot: Slot) -> dict[str, Any]:
  """The JSON of a slot."""
  ops = [op_to_json(op) for op in slot.ops]
  features = slot.features
  if isinstance(features, Width):
    features = vars(features)
  return {**vars(slot), 'ops': ops, 'features': features}


def slot_from_json(
  fields: Mapping[str, Any], known: Mapping[str, type]
) -> Slot:
  """A slot from its JSON; `known` maps names of op classes to the classes."""
  features, stride = fields['features'], fields['stride']
  check_text('slot', fields['name'])
  if not isinstance(features, int):
    check_text('width', features['name'])
    features = Width(features['name'], tuple(features['options']))
  if isinstance(stride, list):
    stride = tuple(stride)
  widths = features.options if isinstance(features, Width) else (features,)
  strides = stride if isinstance(stride, tuple) else (stride,)
  for number in (*widths, *strides):
    _check_number(f'slot {fields["name"]!r} has features or a stride', number)
  ops = tuple(op_from_json(op, known) for op in fields['ops'])
  whole: dict[str, Any] = {**fields, 'ops': ops, 'features': features}
  return Slot(**{**whole, 'stride': stride})


def check_text(what: str, value: Any) -> None:
  """Raises ValueError unless the value is text that can be written again."""
  if not isinstance(value, str):
    raise ValueError(f'the {what} {value!r} is no text')
  value.encode()  # Lone surrogates cannot be.


def _check_number(what: str, value: float, most: int = LARGEST_SIZE) -> None:
  """Raises ValueError for numbers that no network has."""
  if not -most <= value <= most:
    raise ValueError(f'{what} {value!r}; at most {most} is possible')


def op_to_json(op: Op) -> dict[str, Any]:
  """The JSON of an op."""
  return {'op': type(op).__name__, **dataclasses.asdict(op)}


def op_from_json(fields: Mapping[str, Any], known: Mapping[str, type]) -> Op:
  """An op from its JSON; `known` maps names of op classes to the classes."""
  name, fields = fields['op'], {k: v for k, v in fields.items() if k != 'op'}
  if name not in known:
    raise InputError(
      f'op {name!r} does not exist; choose from {", ".join(known)}'
    )
  op = known[name](**fields)
  for field in dataclasses.fields(op):
    value, usual = getattr(op, field.name), field.default
    if usual is None or usual is dataclasses.MISSING:
      wanted = (int, float, str, bool, type(None))
    else:
      wanted = (int, float) if isinstance(usual, float) else type(usual)
    if not isinstance(value, wanted):
      raise ValueError(f'op {name!r} has no {field.name} {value!r}')
    if isinstance(value, int | float):
      most = _WIDEST if field.name == 'kernel' else LARGEST_SIZE
      _check_number(f'op {name!r} has {field.name}', value, most)
  return op
