"""The script that counts: one line of JSON each, and a quiet end in a pipe."""

import json
import os
import signal
import subprocess
import sys

import pytest

from experiments import count
from experiments.flags import cli, names
from nasjax import (
  cost,
  latency,
  space,
  spaces,
)
from tests.children import child
from tests.conftest import refused
from tests.experiments.script_cases import ROOT, call
from tests.experiments.told_cases import count_run


@pytest.fixture
def script(capsys):
  """Runs the script in this process; returns the lines that it prints."""

  def run(**flags):
    count_run(cli.defaults(count.OPTIONS) | flags)
    return capsys.readouterr().out.splitlines()

  return run


def test_a_table_as_json_is_one_line_that_adds_up_to_its_totals(script):
  (line,) = script(network='resnet18', image_size=64, table=True, json=True)
  table = json.loads(line)
  rows = table.pop('rows')
  assert table == {
    'network': 'resnet18',
    'macs': sum(row['macs'] for row in rows),
    'params': sum(row['params'] for row in rows),
    'image_size': 64,
    'num_classes': 1000,
  }
  network = names.NETWORKS['resnet18'](image_size=64)
  assert table['macs'] == cost.macs(network).constant
  assert rows[0]['kernel'] == [7, 7]
  # Without its rows it is what is printed without --table.
  (line,) = script(network='resnet18', image_size=64, json=True)
  assert json.loads(line) == table


def test_a_list_is_one_line_for_each_network(script, monkeypatch):
  some = ('squeezenet_1_1', 'resnet18')
  networks = {name: names.NETWORKS[name] for name in some}
  monkeypatch.setattr(names, 'NETWORKS', networks)
  listed = [json.loads(line) for line in script(list=True, json=True)]
  assert [network['network'] for network in listed] == list(some)
  # As torchvision has them.
  assert [n['params'] for n in listed] == [1_235_496, 11_689_512]
  for network, line in zip(listed, script(list=True), strict=True):
    macs, params = f'{network["macs"]:,}', f'{network["params"]:,}'
    assert line.split() == [network['network'], macs, 'MACs', params, 'params']


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    ({'list': True, 'table': True}, 'table=True has no effect with --list'),
    ({'list': True, 'width': 2.0}, 'width=2.0 has no effect with --list'),
    (
      {'architecture': 'a.json', 'width': 2.0},
      'width=2.0 has no effect with --architecture',
    ),
    (
      {'network': 'resnet18', 'ops': 'my_ops'},
      'ops=my_ops has no effect with --network',
    ),
    ({'network': 'resnet18', 'architecture': 'a.json'}, 'give either'),
    (
      {'nasbench201': 'x', 'network': 'resnet18'},
      'network=resnet18 has no effect with --nasbench201',
    ),
    ({'nasbench201': 'x', 'width': 2.0}, 'width=2.0 has no effect with'),
    ({'nasbench201': '|none~0|'}, 'names no network of NAS-Bench-201'),
    ({'list': True, 'nasbench201': 'x'}, 'has no effect with --list'),
    ({'network': 'resnet18', 'image_size': 0}, 'image_size is 0'),
  ],
)
def test_flags_that_contradict_each_other_are_refused(script, flags, message):
  refused(message, script, **flags)


def test_a_network_of_nasbench201_is_counted_by_its_string(script):
  text = (
    '|nor_conv_1x1~0|+|skip_connect~0|skip_connect~1|'
    '+|nor_conv_3x3~0|nor_conv_1x1~1|avg_pool_3x3~2|'
  )
  sizes = {'image_size': 32, 'num_classes': 10}
  (line,) = script(nasbench201=text, json=True, table=True, **sizes)
  found = json.loads(line)
  rows = found.pop('rows')
  assert found == {
    'network': 'nasbench201',
    # As the benchmark has them.
    'macs': 51_036_800,
    'params': 372_346,
    **sizes,
  }
  assert sum(row['macs'] for row in rows) == found['macs']
  (line,) = script(nasbench201=text, json=True, image_size=16, num_classes=100)
  small = json.loads(line)
  assert small['params'] == found['params'] + 65 * 90
  # All but the classifier are four times smaller.
  assert 4 * (small['macs'] - 6400) == found['macs'] - 640


def test_an_architecture_file_of_cells_is_counted(script, tmp_path):
  cells = spaces.nasbench201()
  a = space.Architecture.from_indices(cells, (3, 0, 1, 2, 4, 0))
  a.save(tmp_path / 'a.json')
  (line,) = script(architecture=str(tmp_path / 'a.json'), json=True)
  assert json.loads(line)['macs'] == cost.macs(cells).exact(a)


@pytest.mark.parametrize('flags', [{}, {'table': True}, {'json': True}])
@pytest.mark.parametrize('image_size', [1, 16])
def test_images_too_small_for_the_strides_are_refused(
  script, flags, image_size
):
  refused(
    f"images are {image_size} pixels high; 'mobilenet_v2' .* at least 17",
    script,
    network='mobilenet_v2',
    image_size=image_size,
    **flags,
  )


def test_the_smallest_image_is_counted_in_every_form(script, tmp_path):
  (line,) = script(network='mobilenet_v2', image_size=17, json=True)
  assert json.loads(line)['macs'] > 0
  tiny = spaces.tiny()
  file = tmp_path / 'architecture.json'
  space.Architecture.from_indices(tiny, [0] * len(tiny.choices)).save(file)
  (line,) = script(architecture=str(file), image_size=3, json=True)
  assert json.loads(line)['image_size'] == 3
  message = 'images are 2 pixels high; .* at least 3'
  refused(message, script, architecture=str(file), image_size=2)


@pytest.mark.parametrize('name', names.NETWORKS)
def test_networks_count_at_usual_sizes_and_for_small_images(name):
  for image_size in (None, 64, 32, 17):
    count.architecture(count.Flags(network=name, image_size=image_size))
  small = names.for_images(name, 1, image_size=28, channels=1, num_classes=10)
  space.check_image_size(small)


def start(*args, unbuffered=''):
  return child(
    [sys.executable, *args],
    cwd=ROOT,
    env=os.environ | {'PYTHONUNBUFFERED': unbuffered},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


@pytest.mark.quick_every(2)
@pytest.mark.parametrize('unbuffered', ['', '1'])
@pytest.mark.parametrize(
  'args',
  [('--network=squeezenet_1_1', '--image_size=64', '--table'), ('--help',)],
)
def test_a_pipe_that_nobody_reads_ends_the_script_quietly(args, unbuffered):
  command = '-m', 'experiments.count', *args
  with start(*command, unbuffered=unbuffered) as process:
    process.stdout.close()  # As `| head` does once it has its lines.
    _, err = process.communicate(timeout=120)
  assert err == ''
  assert process.returncode == 128 + signal.SIGPIPE


def test_a_pipe_that_breaks_elsewhere_is_a_defect():
  program = """
from experiments.flags import cli
def main():
  raise BrokenPipeError('of a worker')
cli.run(main)
"""
  with start('-c', program) as process:
    _, err = process.communicate(timeout=120)
  assert 'Traceback' in err
  assert 'of a worker' in err
  assert process.returncode == 1


def test_count_prints_one_json_object():
  out = call('count', '--network=mobilenet_v2', '--json')
  assert out.count('\n') == 1
  counted = json.loads(out)
  assert counted['network'] == 'mobilenet_v2'
  assert (counted['macs'], counted['params']) == (300774272, 3504872)


def test_a_table_of_latency_gives_the_milliseconds(script, tmp_path):
  tiny, table = spaces.tiny(), tmp_path / 'table.csv'
  keys = [f'{c}/{o}' for c, options in tiny.choices.items() for o in options]
  lines = [f'{key},0.{i}25' for i, key in enumerate(keys, 1)]
  table.write_text('\n'.join(['block,ms', 'fixed,1.5', *lines, '']))
  path = tmp_path / 'architecture.json'
  space.Architecture.from_indices(tiny, (1, 0, 2)).save(path)
  given = {'architecture': str(path), 'latency_table': str(table)}
  (line,) = script(json=True, **given)
  assert json.loads(line)['latency_ms'] == 2.775  # Not 2.7750000000000004.
  assert 'latency_ms   2.775' in script(**given)


def test_a_published_network_is_timed_by_its_blocks(script, tmp_path, capsys):
  network, entries = names.NETWORKS['mobilenet_v3_small'](), {}

  def measure(block, *shapes):
    key = latency.block_key(block, *shapes, dtype='int8')
    entries[key] = 0.25
    return 0.25

  tables = network.tables(measure)
  path = tmp_path / 'table.json'
  table = latency.LatencyTable(
    network.name, entries, dtype='int8', runtime='numpy', version='0.1'
  )
  table.save(path)
  given = {'network': 'mobilenet_v3_small', 'latency_table': str(path)}
  (line,) = script(json=True, **given)
  assert json.loads(line)['latency_ms'] == 0.25 * len(tables)
  refused('mobilenet_v3_small', script, **given | {'network': 'resnet18'})
  refused('lacks', script, image_size=96, **given)
  refused('latency_table', script, list=True, latency_table=str(path))
