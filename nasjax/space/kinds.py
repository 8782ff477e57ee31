"""The kinds of spaces that a file can hold: chains, cells, and proxies.

A document without a `kind` is a chain: files of older versions have none.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nasjax.errors import InputError
from nasjax.space import json_file
from nasjax.space.cell import Cell, CellLayer, Edge
from nasjax.space.cell_space import CellSpace
from nasjax.space.chain import Space
from nasjax.space.protocol import SearchSpace
from nasjax.space.proxy import Proxy
from nasjax.space.slots import Slot


def is_written(space: SearchSpace) -> bool:
  """Whether a file can hold a space: it is of a kind that this module knows.

  Example:
    >>> from nasjax import spaces
    >>> is_written(spaces.tiny()), is_written(spaces.nasbench201())
    (True, True)
  """
  parts = (space.full, space.small) if isinstance(space, Proxy) else (space,)
  return all(isinstance(part, Space | CellSpace) for part in parts)


def to_json(space: SearchSpace) -> dict[str, Any]:
  """The JSON document of a space.

  Raises:
    InputError: it is a space of another kind.
  """
  if isinstance(space, Proxy) and is_written(space):
    full, small = to_json(space.full), to_json(space.small)
    return {'kind': 'proxy', 'full': full, 'small': small}
  if isinstance(space, CellSpace):
    return _cells_to_json(space)
  if isinstance(space, Space):
    return json_file.chain_to_json(vars(space))
  raise InputError(
    f'space {space.name!r} is a {type(space).__name__}, which no file can '
    'hold; files hold chains of slots (nasjax.space.Space), spaces of cells '
    '(nasjax.space.CellSpace), and proxies of these'
  )


def from_json(
  document: Mapping[str, Any], classes: Sequence[type]
) -> SearchSpace:
  """The space of a JSON document.

  Args:
    document: what `to_json` returned.
    classes: the op classes that it may name.

  Raises:
    InputError: an op that is none of `classes`, a kind that this version does
      not know, or sizes that no space has.
    KeyError, TypeError, ValueError: other things that no `to_json` wrote.
  """
  makers: dict[str, Callable] = {
    'chain': _chain,
    'cells': _cells,
    'proxy': _proxy,
  }
  if not isinstance(document, Mapping):
    raise TypeError(f'its space is {document!r}')
  kind = document.get('kind', 'chain')
  if kind not in makers:
    raise InputError(
      f'its space is of the kind {kind!r}; this version of nasjax knows '
      f'{", ".join(makers)}'
    )
  fields = {key: value for key, value in document.items() if key != 'kind'}
  return makers[kind](fields, classes)


def _chain(fields, classes) -> Space:
  return Space(**json_file.chain_fields(fields, classes))


def _proxy(fields, classes) -> Proxy:
  parts = fields['full'], fields['small']
  if any(isinstance(p, Mapping) and p.get('kind') == 'proxy' for p in parts):
    raise ValueError('its space is a proxy of a proxy')
  full, small = (from_json(part, classes) for part in parts)
  return Proxy(full, small)


def _cells_to_json(space: CellSpace) -> dict[str, Any]:
  def edge(own: Edge) -> dict[str, Any]:
    return {**vars(own), 'ops': [json_file.op_to_json(op) for op in own.ops]}

  def layer(own: Slot | CellLayer) -> dict[str, Any]:
    if isinstance(own, CellLayer):
      return dict(vars(own))
    return json_file.slot_to_json(own)

  return {
    'kind': 'cells',
    **vars(space),
    'cells': [{**vars(c), 'edges': [*map(edge, c.edges)]} for c in space.cells],
    'layers': [*map(layer, space.layers)],
  }


def _cells(fields, classes) -> CellSpace:
  known = {cls.__name__: cls for cls in classes}

  def edge(own):
    ops = tuple(json_file.op_from_json(op, known) for op in own['ops'])
    fields: dict[str, Any] = {**own, 'ops': ops}
    return Edge(**fields)

  def cell(own):
    json_file.check_text('cell', own['name'])
    if not isinstance(own['affine'], bool):
      raise ValueError(f'the cell {own["name"]!r} has affine {own["affine"]!r}')
    fields: dict[str, Any] = {**own, 'edges': tuple(map(edge, own['edges']))}
    return Cell(**fields)

  def layer(own):
    if 'cell' in own:
      json_file.check_text('layer', own['name'])
      return CellLayer(**own)
    return json_file.slot_from_json(own, known)

  json_file.check_text('name', fields['name'])
  json_file.check_sizes(fields['image_size'], fields['channels'])
  cells, layers = tuple(map(cell, fields['cells'])), fields['layers']
  given: dict[str, Any] = {
    **fields,
    'cells': cells,
    'layers': tuple(map(layer, layers)),
  }
  return CellSpace(**given)
