"""Distillation: its loss and gradient in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import data, space, spaces
from nasjax.supernet import Supernet
from nasjax.train import distill


def _logits():
  return jax.random.normal(jax.random.key(0), (2, 5, 4)) * 3


@pytest.mark.parametrize('t', [0.5, 1.0, 4.0])
def test_the_gradient_is_its_closed_form_and_the_teachers_is_0(t):
  logits, taught = _logits()
  own, other = jax.grad(distill.loss, (0, 1))(logits, taught, t)
  apart = jax.nn.softmax(logits / t) - jax.nn.softmax(taught / t)
  np.testing.assert_allclose(own, t * apart / 5, rtol=1e-5, atol=1e-7)
  assert not other.any()


@pytest.mark.parametrize('t', [0.5, 1.0, 4.0])
def test_the_loss_is_a_divergence(t):
  logits, taught = _logits()
  p, q = (np.asarray(jax.nn.softmax(x / t)) for x in (taught, logits))
  wanted = t**2 * (p * np.log(p / q)).sum(-1).mean()
  assert float(distill.loss(logits, taught, t)) == pytest.approx(wanted, 1e-4)
  assert float(distill.loss(taught + 2, taught, t)) == pytest.approx(
    0, abs=1e-5
  )


def test_hot_outputs_are_matched_as_they_are():
  """At a high temperature the loss is half the mean squared difference of
  logits that have mean 0 (Hinton et al. 2015, eq. 4)."""
  logits, taught = (x - x.mean(-1, keepdims=True) for x in _logits())
  wanted = ((logits - taught) ** 2).mean() / 2
  with jax.enable_x64(True):
    found = distill.loss(*(jnp.float64(x) for x in (logits, taught)), 1e3)
  assert float(found) == pytest.approx(float(wanted), rel=1e-2)


def test_a_teacher_sees_images_as_it_was_trained_to():
  tiny = spaces.tiny()
  chosen = space.Architecture(tiny, ('mbconv_k3_e1', 'mbconv_k3_e1', 'skip'))
  network = space.fix(tiny, chosen)
  raw = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
  own, other = ((0.5,), (0.3,)), ((0.2,), (0.7,))
  net = Supernet(network)
  init = jax.jit(lambda key, x: net.init(key, x, {}, train=False))
  variables = init(jax.random.key(0), data.normalise(raw, *own))
  wanted = net.apply(variables, data.normalise(raw, *own), {}, train=False)
  teacher = distill.Teacher(network, *own)
  for normal in (own, other):
    images = data.normalise(raw, *normal)
    found = teacher.logits(variables, images, *normal)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('numbers', [(1.5, 1.0), (-0.1, 1.0), (0.5, 0.0)])
def test_wrong_numbers_are_refused(numbers):
  with pytest.raises(ValueError, match='Teacher requires a weight'):
    distill.Teacher(spaces.tiny(), (0.5,), (0.3,), *numbers)


@pytest.mark.parametrize('shape', [(1, 4), (5, 1), (4,)])
def test_a_teacher_has_logits_for_each_image_and_class(shape):
  with pytest.raises(AssertionError, match='shape'):
    distill.loss(jnp.zeros((5, 4)), jnp.zeros(shape))
