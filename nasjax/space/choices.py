"""Choices: what is open in a space, and the alphas that decide it."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

if TYPE_CHECKING:
  from nasjax.space.protocol import SearchSpace

A = TypeVar('A', jax.Array, np.ndarray)
Alphas = dict[str, jax.Array]
# One categorical choice: its name, or for a name that holds several choices
# the name and the index, `('edges', (0, 2))`.
Axis = str | tuple[str, tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class Choice:
  """One name in a space's `choices`: a categorical choice, or an array of them.

  Iterating, indexing and `len` give the options.

  Attributes:
    options: their names; one of them is chosen.
    shape: leading axes of the alphas, where one name holds several choices with
      the same options (the edges of a DARTS cell); `()` is one choice.
    skip: index of the option that passes its input on unchanged, which guards
      against collapse watch; None where no option does.
    drawn: True where the outputs of two options cannot be mixed, such as
      features of different resolutions. Every step runs one option, drawn from
      the probabilities, and its loss gives the gradient (REINFORCE).

  Raises:
    ValueError: no option, two of the same name, or an index that is no option.

  Example:
    >>> choice = Choice(('conv', 'skip'), shape=(2,), skip=1)
    >>> len(choice), list(choice), choice[choice.skip]
    (2, ['conv', 'skip'], 'skip')
  """

  options: tuple[str, ...]
  shape: tuple[int, ...] = ()
  skip: int | None = None
  drawn: bool = False

  def __post_init__(self):
    if not self.options or len(set(self.options)) < len(self.options):
      raise ValueError(
        f'a choice requires options of different names, got {self.options}.'
      )
    if self.skip is not None and not 0 <= self.skip < len(self.options):
      raise ValueError(
        f'a choice requires skip to be one of {len(self.options)} options, got '
        f'{self.skip}.'
      )

  def __len__(self) -> int:
    return len(self.options)

  def __iter__(self) -> Iterator[str]:
    return iter(self.options)

  def __getitem__(self, place: int) -> str:
    return self.options[place]


def label(axis: Axis) -> str:
  """A single choice as people write it.

  Example:
    >>> label('op'), label(('edge', (0, 2)))
    ('op', 'edge[0, 2]')
  """
  if isinstance(axis, str):
    return axis
  name, index = axis
  return f'{name}[{", ".join(map(str, index))}]'


def axes(choices: Mapping[str, Choice]) -> dict[Axis, tuple[str, ...]]:
  """Every single choice with its options, in order; shapes are unrolled.

  Example:
    >>> axes({'op': Choice(('a', 'b')), 'edge': Choice(('c', 'd'), (2,))})
    {'op': ('a', 'b'), ('edge', (0,)): ('c', 'd'), ('edge', (1,)): ('c', 'd')}
  """
  found: dict[Axis, tuple[str, ...]] = {}
  for name, choice in choices.items():
    if not choice.shape:
      found[name] = choice.options
    for index in np.ndindex(choice.shape) if choice.shape else ():
      found[name, index] = choice.options
  return found


def rows(arrays: Mapping[str, A]) -> dict[Axis, A]:
  """Alphas or probs, one row `f32[options]` for every single choice.

  Args:
    arrays: name to `f32[*shape, options]`.

  Example:
    >>> list(rows({'op': jnp.zeros(2), 'edge': jnp.zeros((2, 3))}))
    ['op', ('edge', (0,)), ('edge', (1,))]
  """
  found: dict[Axis, A] = {}
  for name, array in arrays.items():
    shape = jnp.shape(array)[:-1]
    if not shape:
      found[name] = array
    for index in np.ndindex(shape) if shape else ():
      found[name, index] = array[index]
  return found


def init_alphas(
  choices: 'Mapping[str, Choice] | SearchSpace',
  key: jax.Array | None = None,
  scale: float = 1e-3,
) -> Alphas:
  """Logits of the choices at the start: equal, or almost so.

  Args:
    choices: of a space, or the space itself.
    key: PRNG key for normal noise that breaks ties (Liu et al. 2019, DARTS,
      draws 1e-3); None gives zeros. The key is consumed.
    scale: standard deviation of the noise.

  Returns:
    A dict from the name of a choice to `f32[*shape, options]`.

  Example:
    >>> init_alphas({'edge': Choice(('conv', 'skip'), (3,))})['edge'].shape
    (3, 2)
  """
  if not isinstance(choices, Mapping):
    choices = choices.choices
  alphas = {}
  for i, (name, choice) in enumerate(choices.items()):
    shape = (*choice.shape, len(choice))
    alphas[name] = jnp.zeros(shape)
    if key is not None:
      noise = jax.random.normal(jax.random.fold_in(key, i), shape)
      alphas[name] = scale * noise
  return alphas
