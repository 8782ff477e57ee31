"""Searches of cells: searched small, derived large, stopped and resumed."""

import chex
import jax
import numpy as np
import pytest

from nasjax import cost, data, derive, run, space, spaces
from nasjax.run import finished, search_loop
from tests.run.run_cases import FEW
from tests.supernet.cell_cases import tiny

FULL = tiny()
SPACE = space.Proxy(FULL, tiny(layers=1, affine=False))
MACS = cost.macs(SPACE)
LIMIT = sum(MACS.bounds()) // 2
SMALL = {'steps': 8, 'warmup_steps': 4, 'batch_size': 8, 'log_every': 1}
SMALL |= {'progress': False}
# A regression on 12 free options takes more networks than that.
FEW = FEW | {'networks': 60, 'networks_per_step': 20}


def _images(number=90):
  """Three classes that differ in brightness."""
  rng = np.random.default_rng(0)
  labels = np.arange(number) % 3
  noise = rng.integers(0, 60, (number, 4, 4, 1))
  return (noise + 90 * labels[:, None, None, None]).astype(np.uint8), labels


SET = data.from_arrays(*_images())


def _search(workdir=None, **fields):
  return run.search(
    SPACE, SET, limits={MACS: LIMIT}, workdir=workdir, **SMALL | fields
  )


def _stopped(monkeypatch, workdir, last, **fields):
  """A search that ends before a step."""
  step_of = search_loop.stepper

  def until(*args, **kwargs):
    advance = step_of(*args, **kwargs)

    def or_stopped(state, step):
      if step == last:
        raise KeyboardInterrupt
      return advance(state, step)

    return or_stopped

  with monkeypatch.context() as patch:
    patch.setattr(search_loop, 'stepper', until)
    with pytest.raises(KeyboardInterrupt):
      _search(workdir, **fields)


@pytest.mark.slow
def test_the_default_search_resumes_and_its_network_is_trained(
  tmp_path, monkeypatch
):
  fields = {**FEW, 'checkpoint_every': 2}
  whole = _search(**fields)
  _stopped(monkeypatch, tmp_path / 'run', 7, **fields)
  assert not (tmp_path / 'run' / 'architecture.json').exists()
  found = _search(tmp_path / 'run', **fields)
  assert found.metrics == whole.metrics
  chex.assert_trees_all_equal(found.alphas, whole.alphas)
  chex.assert_trees_all_equal(found.weights, whole.weights)
  again = _search(tmp_path / 'run', **fields)
  for one in (whole, found, again):
    assert one.architecture == whole.architecture
    assert one.certificate == whole.certificate
  assert space.Architecture.load(tmp_path / 'run' / 'architecture.json') == (
    found.architecture
  )
  # It is the small network that was searched: one layer, no scales.
  kernels = found.weights['edges[0]']['nor_conv_3x3']
  assert list(kernels) == ['cell0']
  assert list(kernels['cell0']) == ['conv']
  assert found.alphas['edges'].shape == (3, 5)
  assert MACS.exact(found.architecture) <= LIMIT
  low = MACS.bounds()[0]
  assert MACS.exact(found.within({MACS: low}).architecture) == low

  assert found.network == FULL.fix(
    space.Architecture(FULL, found.architecture.choice)
  )
  trainings = [
    run.train(
      found.network,
      SET,
      workdir=workdir,
      epochs=2,
      batch_size=12,
      progress=False,
    )
    for workdir in (None, tmp_path / 'train', tmp_path / 'train')
  ]
  for net in trainings:
    assert net.result['macs'] == MACS.exact(found.architecture)
    assert net.result['ops']['edges[0]'] == found.architecture.choice[0]
    assert net.test_accuracy == trainings[0].test_accuracy
    chex.assert_trees_all_equal(net.weights, trainings[0].weights)
  with pytest.raises(ValueError, match=r'another architecture .edges\[0\] is'):
    _other(found, tmp_path / 'train')


def _other(found, workdir):
  """Begins to train another network where one was trained."""
  first = found.architecture.indices[0]
  a = space.Architecture.from_indices(
    FULL, ((first + 1) % 5, *found.architecture.indices[1:])
  )
  finished.check_workdir(workdir, FULL.fix(a))


@pytest.mark.slow
@pytest.mark.parametrize('relax', ['softmax', 'gumbel_softmax', 'gdas'])
def test_other_relaxations_search_cells_under_a_limit(relax):
  found = _search(relax=relax, final_temperature=1.0)
  assert MACS.exact(found.architecture) <= LIMIT
  probs = {'edges': jax.nn.softmax(found.alphas['edges'])}
  assert float(MACS(probs)) == pytest.approx(LIMIT, rel=0.01)
  assert np.ptp(found.alphas['edges'], axis=-1).min() > 0
  best = derive.within(SPACE, found.alphas, {MACS: LIMIT}, fill=0.9)
  assert found.architecture == best


@pytest.mark.slow
def test_a_small_nasbench201_is_searched_on_embedded_images(tmp_path):
  dataset = data.load('fashion_mnist_5k')
  cells = spaces.nasbench201(**dataset.sizes, width=2, cells=1)
  macs = cost.macs(cells)
  limits = {macs: sum(macs.bounds()) // 2}
  found = run.search(
    cells,
    dataset,
    limits=limits,
    workdir=tmp_path / 'run',
    relax='straight_through',
    **SMALL,
  )
  assert macs.exact(found.architecture) <= limits[macs]
  written = {path.name for path in (tmp_path / 'run').iterdir()}
  assert {'architecture.json', 'alphas.png', 'cost.png'} <= written
