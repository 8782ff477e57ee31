"""The result of a training: accuracies, costs, weights and predictions."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from nasjax import checks, cost, data, train
from nasjax.errors import InputError
from nasjax.run import datasets
from nasjax.run.workdir import weights
from nasjax.space import SearchSpace, as_chain, chosen_ops
from nasjax.train.recipe import Recipe


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
  """A trained network.

  Attributes:
    network: one op in every slot.
    result: what `result.json` holds: accuracies, costs, recipe, versions.
    load: returns the evaluated weights.
    metrics: logged steps, a dict each; empty where the training was read from a
      workdir that was finished before.

  Example:
    >>> from nasjax import zoo
    >>> result = {'test_accuracy': 0.875, 'classes': ['cat', 'dog']}
    >>> trained = Trained(zoo.mobilenet_v2(), result, load=lambda: None)
    >>> trained.test_accuracy, trained.classes
    (0.875, ['cat', 'dog'])
  """

  network: SearchSpace
  result: dict[str, Any]
  load: Callable[[], train.Weights]
  metrics: list[dict[str, Any]] = dataclasses.field(default_factory=list)

  @property
  def test_accuracy(self) -> float:
    """Accuracy on the test images, from 0 to 1."""
    return self.result['test_accuracy']

  @property
  def classes(self) -> list[str]:
    """Names of the classes, in the order of the labels."""
    return self.result['classes']

  @functools.cached_property
  def weights(self) -> train.Weights:
    """The evaluated weights: parameters and running statistics."""
    return self.load()

  def figure(self) -> Any:
    """A matplotlib figure of the network; nothing is written.

    Raises:
      InputError: matplotlib is not installed, or the network is no chain.
    """
    from nasjax import report

    return report.draw_network(as_chain(self.network))

  def predict(self, images: Any) -> np.ndarray:
    """Labels of images.

    Args:
      images: `uint8[n, height, width, channels]`, 0 to 255.

    Returns:
      `int32[n]`, places in `classes`.

    Raises:
      InputError: images of another size or type.
    """
    return self._run(train.predict, images, np.zeros(0, np.int32))

  def probabilities(self, images: Any) -> np.ndarray:
    """Probability of each class, by softmax of the logits.

    Args:
      images: as `predict` takes them.

    Returns:
      `f32[n, classes]`, in the order of `classes`.

    Raises:
      InputError: images of another size or type.
    """
    none = np.zeros((0, len(self.classes)), np.float32)
    logits = self._run(train.logits, images, none)
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-1e30))
    return shifted / shifted.sum(axis=1, keepdims=True)

  def classify(
    self, images: Any, most: int = 1
  ) -> list[list[tuple[str, float]]]:
    """Names of the most probable classes of images, with probabilities.

    Args:
      images: as `predict` takes them.
      most: classes per image, at least 1.

    Returns:
      For each image `(name, probability)`, the most probable first.

    Raises:
      InputError: images of another size or type, or `most` below 1.
    """
    checks.check_least(1, most=most)
    found = []
    for row in self.probabilities(images):
      order = np.argsort(-row, kind='stable')[:most]
      found.append([(self.classes[i], float(row[i])) for i in order])
    return found

  def _run(self, make: Callable, images: Any, none: np.ndarray) -> np.ndarray:
    """Outputs of a function of `nasjax.train` for images, a batch at a time.

    Args:
      make: `nasjax.train.predict` or `nasjax.train.logits`.
      images: as `predict` takes them.
      none: the outputs for no image.
    """
    images = np.asarray(images)
    size, channels = self.result['image_size'], self.result['channels']
    if images.shape[1:] != (size, size, channels) or images.dtype != np.uint8:
      raise InputError(
        f'images are {images.dtype}{list(images.shape)}; the network takes '
        f'uint8[n, {size}, {size}, {channels}]'
      )
    normal = self.result['normalisation']
    recipe = Recipe(**self.result['recipe'])
    batches = data.Batches(1, tuple(normal['mean']), tuple(normal['std']))
    run = jax.jit(make(self.network.network(recipe.numerics), batches))
    parts = [
      np.asarray(run(*self.weights, images[i : i + datasets.TEST_BATCH]))
      for i in range(0, len(images), datasets.TEST_BATCH)
    ]
    return np.concatenate([none, *parts]).astype(none.dtype)


def accuracies(
  kept: weights.Kept,
  network: SearchSpace,
  test: Callable[[train.Weights], float],
  state: train.State,
) -> dict[str, Any]:
  """Accuracies on the test images, which choose nothing.

  `test_accuracy` is that of the weights which were best on the images held
  out, or of the last ones where none were; `evaluated` says which. Beside it
  stand the others, and with moving averages the weights that were averaged
  (`raw_test_accuracy`).
  """
  found = {'last_test_accuracy': test(train.weights(state))}
  if state.ema:
    raw = train.Weights(state.params, state.batch_stats)
    found['raw_test_accuracy'] = test(raw)
  name, best = weights.LAST, kept.best()
  if best is not None:
    name = weights.BEST
    own = kept.load(name, network)
    found |= {
      'best_test_accuracy': test(own),
      'best_step': best['step'],
      'valid_accuracy': best['valid_accuracy'],
    }
  return {
    'test_accuracy': found[f'{name}_test_accuracy'],
    'evaluated': name,
    **found,
  }


def facts(network: SearchSpace, sizes: Mapping[str, int]) -> dict[str, Any]:
  """Name, costs, ops and sizes of a network.

  Args:
    network: no choice left.
    sizes: of its images and classes, see `nasjax.data.Dataset.sizes`.
  """
  return {
    'macs': cost.macs(network).constant,
    'params': cost.params(network).constant,
    'memory': cost.memory(network).constant,
    'network': network.name,
    'ops': chosen_ops(network),
    **sizes,
  }
