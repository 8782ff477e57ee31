"""`--limit=latency_ms=` with a table: what is taken, and what is refused."""

import dataclasses

import numpy as np
import pytest

from experiments import search
from experiments.flags import cli, limits
from nasjax import cost, latency, space, spaces
from nasjax.run import datasets
from tests.conftest import refused
from tests.experiments.told_cases import search_prepare, search_run
from tests.latency.latency_cases import (
  by_hand,
  every_architecture,
  random_table,
)
from tests.run.run_cases import FEW

SMALL = {
  **cli.defaults(search.OPTIONS),
  **FEW,
  'dataset': 'fashion_mnist_5k',
  'space': 'tiny',
  'steps': 6,
  'warmup_steps': 3,
  'batch_size': 8,
}


@pytest.fixture
def tiny():
  return spaces.tiny(image_size=28, channels=1, num_classes=10)


@pytest.fixture
def file(tmp_path, tiny):
  path = tmp_path / 'table.json'
  random_table(
    tiny, np.random.default_rng(0), 2, image_size=28, dtype='float32'
  ).save(path)
  return str(path)


def test_a_limit_on_latency_is_in_milliseconds_of_the_table(tiny, file):
  for text in ('3.5', '3.5ms', '3500us', '0.0035s'):
    found = limits.of([f'latency_ms={text}', 'macs=60k'], tiny, file)
    (macs, most), (price, ms) = sorted(
      found.items(), key=lambda item: item[0].name, reverse=True
    )
    assert (macs.name, most, price.name) == ('macs', 60_000, 'latency_ms')
    assert ms == pytest.approx(3.5, rel=1e-15)
    table = latency.LatencyTable.load(file)
    for a in every_architecture(tiny):
      assert price.exact(a) == pytest.approx(by_hand(table, a), rel=1e-12)


def test_what_does_not_go_together_is_refused(tiny, file):
  refused('give latency_table=FILE', limits.of, ['latency_ms=3'], tiny)
  given = (None, 'int8')
  found = limits.of(['size_kb=9', 'ram_kb=4KiB', 'macs=60k'], tiny, *given)
  assert list(found) == [
    *(cost.size_kb(tiny, 'int8'), cost.ram_kb(tiny, 'int8'), cost.macs(tiny))
  ]
  assert list(found.values()) == [9, 4.096, 60_000]
  assert list(limits.of(['size_kb=9'], tiny)) == [cost.size_kb(tiny)]
  # Without a dtype it is that of the table.
  price, size = limits.of(['latency_ms=9', 'size_kb=9'], tiny, file)
  assert (price.name, size) == ('latency_ms', cost.size_kb(tiny))
  for given in ((file,), (None, 'int8'), (file, 'float32')):
    refused('no effect without', limits.of, ['macs=60k'], tiny, *given)
  refused(
    'float32, and the network of int8',
    *(limits.of, ['latency_ms=3'], tiny, file, 'int8'),
  )
  refused("'3kB' is no number", limits.of, ['latency_ms=3kB'], tiny, file)
  refused(
    '28 pixels, and the network of 32',
    *(limits.of, ['latency_ms=3'], spaces.tiny(image_size=32), file),
  )


@pytest.fixture
def undecoded(monkeypatch):
  """Fails where images are decoded."""

  def read(*args, **kwargs):
    pytest.fail('images were decoded')

  monkeypatch.setattr(datasets, 'read', read)


@pytest.mark.parametrize(
  ('given', 'said'),
  [
    ({'limit': ['latency_ms=0.01']}, 'latency_ms <= 0.01; this space reaches'),
    ({'limit': ['latency_ms=nan']}, 'is not positive and finite'),
    ({'limit': ['latency_ms=-1']}, 'is not positive and finite'),
    ({'latency_table': None}, 'give latency_table=FILE'),
    ({'latency_table': '/none.json'}, 'No such file'),
    ({'deploy_dtype': 'int8'}, 'float32, and the network of int8'),
    ({'deploy_dtype': 'float16'}, 'deploy_dtype is .*float32, int8'),
    ({'space': 'mobile_small'}, 'tiny, and the network of mobile_small'),
  ],
)
def test_bad_limits_are_refused_before_images_are_decoded(
  undecoded, file, given, said
):
  told = SMALL | {'limit': ['latency_ms=3'], 'latency_table': file} | given
  refused(said, search_prepare, told)


def test_missing_keys_are_listed_before_images_are_decoded(
  undecoded, file, tiny
):
  table = latency.LatencyTable.load(file)
  entries = dict(table.entries)
  for key in ('fixed', 'stage1_1/mbconv_k3_e3'):
    del entries[key]
  dataclasses.replace(table, entries=entries).save(file)
  told = SMALL | {'limit': ['latency_ms=3'], 'latency_table': file}
  refused('lacks fixed, stage1_1/mbconv_k3_e3$', search_prepare, told)


def test_a_limit_out_of_reach_is_warned_of_before_images_are_decoded(
  file, tiny, monkeypatch
):
  table = dataclasses.replace(
    latency.LatencyTable.load(file), runtime='numpy', version='0.1'
  )
  table.save(file)
  low, high = cost.latency(tiny, table).bounds()
  lines, decoded = [], datasets.read

  def read(*args):
    assert len(lines) == 2
    return decoded(*args)

  monkeypatch.setattr(datasets, 'read', read)
  told = {'limit': ['latency_ms=1000'], 'latency_table': file}
  flags = search.configs.of(search.Flags, SMALL | told)
  search.prepare(flags, None, lines.append)
  assert f'{low} to {high}' in lines[0]
  assert 'numpy 0.1' in lines[1]


@pytest.mark.slow
def test_a_search_keeps_a_limit_on_latency_and_knows_its_table(
  file, tiny, tmp_path
):
  table = latency.LatencyTable.load(file)
  price = cost.latency(tiny, table)
  low, high = price.bounds()
  limit = round((low + high) / 2, 2)
  told = {'limit': [f'latency_ms={limit}', 'macs=70k'], 'latency_table': file}
  told, workdir = SMALL | told, tmp_path / 'run'
  found = search_run(told, workdir)
  row = found.record['resources']['latency_ms']
  assert row['cost'] == price.exact(found.architecture) <= limit == row['limit']
  assert row['unit'] == 'ms'
  path = workdir / 'architecture.json'
  assert space.Architecture.load(path) == found.architecture
  # The same command goes on; with other times in the file it is another run.
  assert search_run(told, workdir).architecture == found.architecture
  dataclasses.replace(table, scale=1.01).save(file)
  refused('limits_content', search_run, told, workdir)
