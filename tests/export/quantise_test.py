"""int8 files label as the network does."""

import dataclasses

import numpy as np
import pytest

from nasjax import data, export, run, space, spaces
from nasjax.export import quantise
from tests.export.export_cases import needs_mobile


@pytest.fixture(scope='module')
def trained():
  whole = data.load()
  test = data.Arrays(whole.test.images[:2000], whole.test.labels[:2000])
  dataset = dataclasses.replace(whole, test=test)
  tiny = spaces.tiny(**dataset.sizes)
  network = tiny.fix(space.argmax(tiny, space.init_alphas(tiny)))
  net = run.train(network, dataset, epochs=2, batch_size=50, progress=False)
  return dataset, net


@pytest.mark.slow
@needs_mobile
def test_int8_keeps_the_accuracy_on_real_images(trained, tmp_path):
  dataset, net = trained
  test = dataset.test
  done = export.tflite(
    net,
    tmp_path / 'model.tflite',
    int8=True,
    images=dataset.train.images,
    test=test,
  )
  record = done.record
  assert record['int8'] == {'calibration_images': 200}
  assert record['test_images'] == 2000
  predicted = net.predict(test.images) == test.labels
  assert record['float_test_accuracy'] == predicted.mean()
  assert abs(record['test_accuracy'] - predicted.mean()) < 0.02
  assert record['parity']['same_top'] >= 0.9
  assert record['parity']['relative_rms'] < 0.1
  assert record['operators']['QUANTIZE'] == 1
  assert record['fully_accelerated']


def test_images_are_spread_over_a_set():
  found = quantise.spread(np.arange(1000), 4)
  assert found.tolist() == [0, 333, 666, 999]
  assert quantise.spread(np.arange(3), 200).tolist() == [0, 1, 2]
