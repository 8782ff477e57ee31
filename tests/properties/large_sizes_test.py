"""Sizes and costs beyond what arrays and 64 bits hold."""

import itertools
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from experiments import count
from experiments.flags import cli, names
from nasjax import cost, space, spaces, zoo
from nasjax.errors import InputError
from tests.conftest import refused
from tests.experiments.told_cases import count_run

HUGE = [2**31, 2**32, 2**63, 2**64, 2**70, 10**400]


def run(**flags):
  count_run(cli.defaults(count.OPTIONS) | flags)


def test_a_huge_image_is_one_line_and_exit_code_1():
  command = (
    '-m experiments.count --network=mobilenet_v2 --image_size=4294967296'
  )
  found = subprocess.run(
    [sys.executable, *command.split()], capture_output=True, text=True
  )
  assert found.returncode == 1
  assert found.stdout == ''
  (line,) = found.stderr.splitlines()
  assert '4294967296' in line
  assert str(space.LARGEST_SIZE) in line


@pytest.mark.parametrize('table', [False, True])
@pytest.mark.parametrize('flag', ['image_size', 'num_classes'])
@pytest.mark.parametrize('size', HUGE)
def test_sizes_that_no_array_has_are_refused(size, flag, table):
  for name in ('mobilenet_v2', 'shufflenet_v2'):
    refused(str(size), run, network=name, table=table, **{flag: size})


@pytest.mark.quick_every(3)
@pytest.mark.parametrize('name', names.NETWORKS)
def test_the_largest_images_cost_more_than_can_be_computed_with(name):
  flags = {'network': name, 'image_size': space.LARGEST_SIZE}
  refused(str(2**63 - 1), run, **flags)


def test_large_images_count_exactly():
  # Twice the side, four times the MACs of everything up to the classifier.
  classifier = 1280 * 1000
  times = 2**16
  network = zoo.mobilenet_v2(image_size=224 * times)
  expected = (300_774_272 - classifier) * times**2 + classifier
  assert cost.macs(network).constant == expected > 2**60
  assert count.layers(network).macs == expected


def edited(path, edit):
  """An architecture file with something changed in its JSON."""
  tiny = spaces.tiny()
  space.Architecture.from_indices(tiny, [0] * len(tiny.choices)).save(path)
  document = json.loads(path.read_text())
  edit(document['space'])
  path.write_text(json.dumps(document))
  return str(path)


EDITS = {
  'features': lambda s, n: s['slots'][1].update(features=n),
  'classes': lambda s, n: s['slots'][-1].update(features=n),
  'stride': lambda s, n: s['slots'][0].update(stride=n),
  'image_size': lambda s, n: s.update(image_size=n),
  'channels': lambda s, n: s.update(channels=n),
  'kernel': lambda s, n: s['slots'][1]['ops'][0].update(kernel=n),
  'expand': lambda s, n: s['slots'][1]['ops'][0].update(expand=n),
}


@pytest.mark.parametrize('size', HUGE)
@pytest.mark.parametrize('edit', EDITS)
def test_an_architecture_with_a_huge_size_is_refused(tmp_path, edit, size):
  path = tmp_path / 'architecture.json'
  file = edited(path, lambda s: EDITS[edit](s, size))
  for table in (False, True):
    refused(str(size), run, architecture=file, table=table)


@pytest.mark.parametrize('make', names.SPACES.values())
def test_spaces_of_huge_sizes_are_refused_before_they_cost_anything(make):
  for size in HUGE:
    for name in ('image_size', 'channels', 'num_classes'):
      with pytest.raises(InputError, match=str(size)):
        make(**{name: size})


def of_numbers(number):
  """A cost of the tiny space, each option of which costs the same."""
  tiny = spaces.tiny()
  options = {
    choice: dict.fromkeys(options, number)
    for choice, options in tiny.choices.items()
  }
  return tiny, options


@pytest.mark.parametrize(
  ('number', 'fits'),
  [
    (2**63 // 3, True),
    (2**62, False),
    (2**63 - 1, False),
    (2**63, False),
    (2**70, False),
    (1e38, True),
    (1.2e38, False),
    (1e308, False),
  ],
)
def test_a_total_that_overflows_is_refused(number, fits):
  tiny, options = of_numbers(number)
  if fits:
    assert cost.table(tiny, 'price', 'EUR', options).bounds() == (
      3 * number,
      3 * number,
    )
    return
  with pytest.raises(InputError, match=r'price.* EUR') as caught:
    cost.table(tiny, 'price', 'EUR', options)
  assert re.search(re.escape(str(number + number + number)), str(caught.value))


def test_bounds_below_63_bits_are_those_of_all_architectures():
  tiny = spaces.tiny()
  draw = np.random.default_rng(0)
  options = {
    choice: {o: int(draw.integers(2**61)) for o in options}
    for choice, options in tiny.choices.items()
  }
  price = cost.table(tiny, 'price', 'EUR', options)
  sums = [
    sum(numbers)
    for numbers in itertools.product(*(o.values() for o in options.values()))
  ]
  assert price.bounds() == (min(sums), max(sums))


@pytest.mark.parametrize('dtype', [np.int8, np.uint8, np.int32, np.float16])
def test_small_numbers_of_numpy_do_not_wrap(dtype):
  tiny, options = of_numbers(dtype(100))
  price = cost.table(tiny, 'price', 'EUR', options, fixed=dtype(120))
  assert price.bounds() == (420, 420)
  first = space.Architecture.from_indices(tiny, [0, 0, 0])
  assert price.exact(first) == 420
  assert float(price(space.one_hot(first))) == 420
