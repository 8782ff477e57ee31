"""The training script: best and last weights, evaluation, teachers, presets."""

import dataclasses
import gc
import shutil

import jax
import numpy as np
import pytest

from experiments import search, train
from experiments.flags import (
  cli,
  configs,
  limits,
  names,
  presets,
  sources,
)
from nasjax import cost, data, ops, space, spaces
from nasjax import train as train_lib
from nasjax.errors import InputError
from nasjax.run import (
  datasets,
  finished,
  holdout,
  train_loop,
)
from nasjax.run import inputs as inputs_lib
from nasjax.run import limits as limits_lib
from nasjax.run import record as record_lib
from nasjax.run.config import SearchConfig
from nasjax.run.workdir import metrics_file, weights
from nasjax.train import recipe as recipes
from nasjax.train.recipe import Recipe
from tests.conftest import images, refused
from tests.experiments.told_cases import (
  search_prepare,
  search_run,
  train_as_told,
)

CHOICES = {
  'small': ('mbconv_k3_e1', 'mbconv_k3_e1', 'skip'),
  'large': ('mbconv_k3_e3', 'mbconv_k3_e1', 'skip'),
}


def _arrays(n, seed):
  labels = np.arange(n, dtype=np.int32) % 3
  pixels = images(n, seed=seed) // 3 + 80 * labels.astype(np.uint8).reshape(
    -1, 1, 1, 1
  )
  return data.Arrays(pixels, labels)


SET = data.Dataset('stripes', _arrays(60, 0), _arrays(30, 1), ('a', 'b', 'c'))
FULL = {
  'epochs': 3,
  'batch_size': 12,
  'valid_fraction': 0.2,
  'ema_decay': 0.9,
  'drop_path': 0.3,
  'dropout': 0.1,
  'clip_norm': 1.0,
}


@pytest.fixture(autouse=True)
def _stripes(monkeypatch):
  """No test of this file reads images from a disk."""
  monkeypatch.setattr(sources, 'open_or_stream', lambda *_, **__: SET)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  """A folder with two architectures."""
  folder = tmp_path_factory.mktemp('training')
  tiny = spaces.tiny(num_classes=3)
  for name, choice in CHOICES.items():
    space.Architecture(tiny, choice).save(folder / f'{name}.json')
  return folder


def _train(root, workdir, name='small', **options):
  given = {'architecture': str(root / f'{name}.json'), **options}
  config = cli.defaults(train.OPTIONS) | given
  return train_as_told(config, workdir, 'a command').result


@pytest.fixture(scope='module')
def run(root):
  """A finished training with all that a training can have but a teacher."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(sources, 'open_or_stream', lambda *_, **__: SET)
    _train(root, root / 'run', **FULL)
  return root / 'run'


def _files(workdir):
  return {
    path: path.stat().st_mtime_ns
    for path in workdir.rglob('*')
    if path.is_file()
  }


@pytest.mark.slow
def test_an_evaluation_gives_what_was_recorded_and_writes_nothing(run, capsys):
  result, before = record_lib.read_json(run / 'result.json'), _files(run)
  found = train.evaluate(run, {'epochs': 3})
  assert set(found) == {'last', 'best'}
  for name, accuracy in found.items():
    assert accuracy == result[f'{name}_test_accuracy']
  assert result['test_accuracy'] == found[result['evaluated']]
  assert _files(run) == before
  train.say_evaluation(run, found)
  lines = capsys.readouterr().out.splitlines()
  assert [line.partition('recorded: ')[2] for line in lines] == [
    'last weights',
    'best weights (evaluated)',
  ]
  assert all('as recorded' in line and 'not' not in line for line in lines)


@dataclasses.dataclass(frozen=True)
class Own(ops.MBConv):
  """An op of the user's."""


def test_a_workdir_keeps_its_network_among_ops_of_ones_own(tmp_path):
  s = spaces.mobile(
    [spaces.Stage(8, 2, 2)],
    image_size=8,
    channels=1,
    num_classes=10,
    stem=4,
    stem_stride=2,
    head=8,
    candidates=(ops.MBConv(3, 1), Own(5, 3)),
  )
  first, last = (
    space.Architecture.from_indices(s, (i,) * len(s.choices)) for i in (0, 1)
  )
  network = space.fix(s, first)
  finished.check_workdir(tmp_path, network)  # There is nothing yet.
  first.save(tmp_path / 'architecture.json')
  finished.check_workdir(tmp_path, network, s)
  other = space.fix(s, last)
  refused('another architecture', finished.check_workdir, tmp_path, other, s)


@pytest.mark.slow
def test_images_of_an_evaluation_may_lie_elsewhere(run, monkeypatch):
  asked = []

  def found(told, held, write):
    asked.append((told.source.data_dir, write))
    return SET if told.source.data_dir == 'moved' else changed

  changed = dataclasses.replace(SET, test=_arrays(30, 2))
  monkeypatch.setattr(sources, 'open_or_stream', found)
  assert set(train.evaluate(run, {'data_dir': 'moved'})) == {'last', 'best'}
  refused('images of stripes are not those', train.evaluate, run, {})
  assert asked == [('moved', False), (None, False)]


@pytest.mark.slow
def test_a_result_has_what_a_comparison_needs(root, run):
  result = record_lib.read_json(run / 'result.json')
  a = space.Architecture.load(root / 'small.json')
  network = space.fix(a.space, a)
  given = cli.defaults(train.OPTIONS) | FULL
  assert (
    result
    | {
      'macs': cost.macs(a.space).exact(a),
      'params': cost.params(a.space).exact(a),
      'memory': cost.memory(a.space).exact(a),
      'ops': dict(zip(a.space.choices, CHOICES['small'], strict=True))
      | {s.name: s.ops[0].name for s in network.slots},
      'train_images': 48,
      'valid_images': 12,
      'test_images': 30,
      'dataset': 'stripes',
      'test_split': 'test',
      'seed': 0,
      'teacher': None,
      'command': 'a command',
      'recipe': dataclasses.asdict(configs.of(Recipe, given)),
      'versions': record_lib.versions(),
      'device': jax.devices()[0].device_kind,
    }
    == result
  )
  for name in ('test', 'last_test', 'best_test', 'raw_test', 'valid'):
    assert 0 <= result[f'{name}_accuracy'] <= 1


def test_images_that_are_too_small_are_refused(root, tmp_path):
  large = spaces.mobile_224(image_size=32, num_classes=3)
  first = [0] * len(large.choices)
  space.Architecture.from_indices(large, first).save(root / 'strided.json')
  message = "images are 8 pixels high; 'mobile_224' .* takes at least 17"
  refused(message, _train, root, tmp_path / 'run', 'strided')
  config = cli.defaults(search.OPTIONS)
  config |= {'space': 'mobile_224', 'limit': ['macs=9M'], 'batch_size': 6}
  refused(message, search_run, config, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


@pytest.mark.slow
def test_an_interrupted_training_ends_where_it_would_have(
  root, run, tmp_path, monkeypatch, drawn
):
  """Bit for bit: averages, best weights and every line of metrics."""
  left = drawn.randint(4, 9)  # of 12 lines, four an epoch
  described = train_loop.described

  def killed(metrics):
    nonlocal left
    left -= 1
    if left == 0:
      raise KeyboardInterrupt
    return described(metrics)

  monkeypatch.setattr(train_loop, 'described', killed)
  with pytest.raises(KeyboardInterrupt):
    _train(root, tmp_path / 'run', **FULL)
  assert not (tmp_path / 'run' / 'result.json').exists()
  _train(root, tmp_path / 'run', **FULL)
  for name in ('result.json', 'best.json', 'metrics.jsonl'):
    assert (tmp_path / 'run' / name).read_text() == (run / name).read_text()
  network = finished.read(run).network
  for name in (weights.LAST, weights.BEST):
    one, other = (
      finished.content(weights.load(d, name, network))
      for d in (run, tmp_path / 'run')
    )
    assert one == other


@pytest.mark.slow
def test_the_best_weights_are_the_first_of_the_highest_on_what_is_held_out(run):
  rows = [r for r in metrics_file.read(run) if 'valid_accuracy' in r]
  assert [row['step'] for row in rows] == [4, 8, 12]
  highest = max(row['valid_accuracy'] for row in rows)
  first = next(r['step'] for r in rows if r['valid_accuracy'] == highest)
  kept = record_lib.read_json(run / 'best.json')
  assert kept == {'step': first, 'valid_accuracy': highest}
  result = record_lib.read_json(run / 'result.json')
  assert (result['train_images'], result['valid_images']) == (48, 12)
  assert result['ops']['stage1_1'] == 'mbconv_k3_e1'


@pytest.mark.slow
@pytest.mark.parametrize('streamed', [False, True])
def test_what_is_held_out_is_trained_on_by_nobody(streamed):
  whole = SET
  if streamed:
    rows = [*zip(*SET.train, strict=True)]
    fields = {'name': 's', 'train': rows, 'test': rows, 'class_names': ('a',)}
    whole = datasets.stream.Streamed(
      **fields, test_split='test', image_shape=(8, 8, 1)
    )
  fit, valid = holdout.held_out(whole, 0.2)

  def pixels(part):
    seen = (
      part.images if isinstance(part, data.Arrays) else [x for x, _ in part]
    )
    return [x.tobytes() for x in seen]

  assert (len(pixels(fit.train)), len(pixels(valid))) == (48, 12)
  together = pixels(fit.train) + pixels(valid)
  assert sorted(together) == sorted(pixels(SET.train))


@pytest.mark.slow
def test_another_architecture_is_refused_and_nothing_is_written(root, run):
  before = _files(run)
  other = {'architecture': str(root / 'large.json')}
  refused(
    'another architecture .slot stage1_1 is mbconv_k3_e1 .* not mbconv_k3_e3',
    train.evaluate,
    run,
    other,
  )
  refused('epochs=3, not 4', train.evaluate, run, {'epochs': 4})
  refused('content was', _train, root, run, 'large', **FULL)
  assert _files(run) == before


@pytest.mark.slow
def test_files_of_another_training_are_refused(root, run, tmp_path):
  """Weights or checkpoints that somebody copied from another network's run."""
  workdir = tmp_path / 'large'
  _train(root, workdir, 'large', epochs=1, batch_size=12)
  shutil.rmtree(workdir / 'weights')
  shutil.copytree(run / 'weights', workdir / 'weights')
  refused(
    "last is not of 'tiny': of batch_stats/stage1_1/mbconv_k3.* network none",
    train.evaluate,
    workdir,
    {},
  )
  (workdir / 'result.json').unlink()
  refused('no finished training', train.evaluate, workdir, {})
  shutil.rmtree(workdir / 'checkpoints')
  shutil.copytree(run / 'checkpoints', workdir / 'checkpoints')
  before = _files(workdir / 'checkpoints')
  refused(
    'is a checkpoint of another run',
    *(_train, root, workdir, 'large'),
    epochs=1,
    batch_size=12,
  )
  assert _files(workdir / 'checkpoints') == before


@pytest.mark.slow
def test_a_checkpoint_of_other_images_is_refused(
  root, run, tmp_path, monkeypatch
):
  """Of the same network, flags and number of images."""
  other = dataclasses.replace(SET, train=_arrays(60, 7))
  monkeypatch.setattr(sources, 'open_or_stream', lambda *_: other)
  workdir = tmp_path / 'run'
  _train(root, workdir, **FULL)
  for name in ('weights', 'checkpoints'):
    shutil.rmtree(workdir / name)
  (workdir / 'result.json').unlink()
  shutil.copytree(run / 'checkpoints', workdir / 'checkpoints')
  before = _files(workdir / 'checkpoints')
  refused('a checkpoint of another run', _train, root, workdir, **FULL)
  assert _files(workdir / 'checkpoints') == before


@pytest.mark.slow
def test_damaged_weights_are_one_line(run, tmp_path):
  shutil.copytree(run, tmp_path / 'run')
  for path in (tmp_path / 'run' / 'weights' / 'last').rglob('*'):
    if path.is_file():
      path.write_bytes(path.read_bytes()[:10])
  refused('cannot be read as weights', train.evaluate, tmp_path / 'run', {})


@pytest.mark.slow
def test_weights_without_the_data_of_an_array_are_one_line(
  run, tmp_path, capfd
):
  """Whichever of its files is empty; one that is not read does no harm."""
  last = run / 'weights' / 'last'
  names = [p.relative_to(last) for p in last.rglob('*') if p.is_file()]
  found = []
  for i, name in enumerate(names):
    shutil.copytree(run, tmp_path / str(i))
    (tmp_path / str(i) / 'weights' / 'last' / name).write_bytes(b'')
    try:
      weights.load(tmp_path / str(i), 'last', finished.read(run).network)
    except InputError as e:
      found.append(str(e))
  assert len(found) > 3
  assert all('cannot be read as weights' in line for line in found)
  assert not any('\n' in line for line in found)
  gc.collect()
  assert 'Traceback' not in capfd.readouterr().err


@pytest.mark.slow
def test_a_student_is_recorded_with_its_teacher(root, run, tmp_path):
  options = {'epochs': 1, 'batch_size': 12, 'teacher': str(run)}
  result = _train(root, tmp_path / 'taught', **options, distill_weight=0.9)
  alone = _train(root, tmp_path / 'alone', epochs=1, batch_size=12)
  assert alone['teacher'] is None
  teacher = result['teacher']
  of_teacher = record_lib.read_json(run / 'result.json')
  assert teacher['test_accuracy'] == of_teacher['test_accuracy']
  assert (teacher['distill_weight'], teacher['weights']) == (0.9, 'best')
  config = record_lib.read_json(tmp_path / 'taught' / 'config.json')
  assert config['teacher_content'] == teacher['content']
  network = finished.read(run).network
  one, other = (
    finished.content(weights.load(tmp_path / d, weights.LAST, network))
    for d in ('taught', 'alone')
  )
  assert one != other


@pytest.mark.slow
def test_teachers_that_cannot_teach_are_refused(root, run, tmp_path):
  def teach(dataset=SET, workdir=run, weight=0.5, temperature=4.0):
    finished.teacher(workdir, dataset, weight, temperature)

  teach()
  wide = data.Arrays(images(9, 12), np.arange(9, dtype=np.int32) % 3)
  refused(
    r'takes images of \(8, 8, 1\), those of stripes are \(12, 12, 1\)',
    teach,
    dataclasses.replace(SET, train=wide),
  )
  refused(
    'trained on stripes, whose classes are not those of dots',
    teach,
    dataclasses.replace(SET, name='dots', class_names=('a', 'b', 'd')),
  )
  refused('no finished training', teach, workdir=tmp_path)
  refused('distill_weight is 0.0', teach, weight=0.0)
  refused('distill_temperature is -1', teach, temperature=-1)
  refused(
    'distill_weight=0.9 has no effect without --teacher',
    _train,
    *(root, tmp_path / 'no'),
    distill_weight=0.9,
  )
  assert not (tmp_path / 'no').exists()


# --- Recipes -----------------------------------------------------------------


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'optimizer': 'lion'}, "unknown optimizer 'lion'; choose from sgd"),
    ({'schedule': 'linear'}, "unknown schedule 'linear'"),
    ({'dtype': 'float16'}, "unknown dtype 'float16'"),
    ({'optimizer': 'adamw', 'momentum': 0.8}, 'momentum=0.8 has no effect'),
    ({'rms_epsilon': 1.0}, 'has no effect with optimizer=sgd'),
    ({'stair_factor': 0.5}, 'has no effect with schedule=cosine'),
    ({'ema_decay': 1.0}, 'ema_decay is 1.0; it must'),
    ({'clip_norm': -1.0}, 'clip_norm is -1.0; it must'),
    ({'warmup': 1.0}, 'warmup is 1.0; it must'),
    ({'drop_path': 1.0}, 'drop_path is 1.0; it must'),
    ({'dropout': -0.5}, 'dropout is -0.5; it must'),
    ({'valid_fraction': 1.0}, 'valid_fraction is 1.0; it must'),
  ],
)
def test_bad_recipes_are_one_line_and_write_nothing(
  root, tmp_path, options, message
):
  refused(message, _train, root, tmp_path / 'run', **options)
  assert not (tmp_path / 'run').exists()


def test_shares_of_steps_are_not_lost_to_floats():
  for steps in range(20, 2000, 20):
    assert recipes._warmup_steps(Recipe(), steps) == steps // 20


# --- Presets -----------------------------------------------------------------


def _parses(command, script):
  """Holds that a command names flags that its script has."""
  python, _, module, *given = command.split()
  assert (python, module) == ('python', script.__name__)
  names = {text.removeprefix('--').partition('=')[0] for text in given}
  assert names <= {'workdir', *script.OPTIONS}, names


@pytest.mark.parametrize('script', [train, search])
def test_a_preset_sets_flags_that_there_are_to_what_they_take(script):
  table = presets.TRAIN if script is train else presets.SEARCH
  unset = cli.defaults(script.OPTIONS)
  for name, preset in table.items():
    assert set(preset.flags) <= set(script.OPTIONS), name
    config = presets.applied({**unset, 'preset': name}, {}, table)
    assert {k: config[k] for k in preset.flags} == preset.flags
    assert f'--preset={name} ' in preset.command
    assert preset.source
    assert preset.differs
    assert preset.unstated
    _parses(preset.command, script)
    assert set(preset.published) <= set(names.NETWORKS)


def test_what_is_typed_counts_more_than_a_preset():
  config = cli.defaults(train.OPTIONS) | {'preset': 'fbnet'}
  given = {'architecture': 'a.json', 'epochs': 6}
  found = presets.applied(config | given, given, presets.TRAIN)
  assert (found['epochs'], found['batch_size']) == (6, 256)
  assert (found['architecture'], found['network']) == ('a.json', None)
  refused(
    "unknown preset 'darts'; choose from mobilenet_v2",
    *(presets.applied, config | {'preset': 'darts'}, {}, presets.TRAIN),
  )


def test_numbers_of_what_a_preset_names_go_with_it():
  unset = cli.defaults(train.OPTIONS) | {'preset': 'mobilenet_v2'}
  for given in ({'optimizer': 'sgd'}, {'schedule': 'cosine'}):
    configs.of(Recipe, presets.applied(unset | given, given, presets.TRAIN))
  given = {'optimizer': 'sgd', 'rms_epsilon': 0.1}  # It was typed.
  found = presets.applied(unset | given, given, presets.TRAIN)
  refused('rms_epsilon=0.1 has no effect', configs.of, Recipe, found)
  same = {'optimizer': 'rmsprop'}
  found = presets.applied(unset | same, same, presets.TRAIN)
  assert configs.of(Recipe, found).rms_epsilon == 1.0
  unset = cli.defaults(search.OPTIONS) | {'preset': 'fbnet'}
  given = {'constraint': 'project_equal', 'limit': ['macs=9k']}
  found = presets.applied(unset | given, given, presets.SEARCH)
  config, tiny = configs.of(SearchConfig, found), spaces.tiny()
  limits_lib.keep(config, tiny, limits.of(found['limit'], tiny))


@pytest.mark.drawn(2)
@pytest.mark.slow
@pytest.mark.parametrize('name', presets.TRAIN)
def test_a_training_preset_builds_and_takes_two_steps(root, name):
  """Its network is built; the steps are of a tiny one, with its recipe."""
  config = cli.defaults(train.OPTIONS) | {'preset': name}
  config = presets.applied(config, {}, presets.TRAIN)
  recipe = configs.of(Recipe, config)
  steps = recipe.epochs * (1_281_167 // recipe.batch_size)
  tiny = str(root / 'large.json')
  small = {'network': None, 'architecture': tiny}
  networks = [train.network_for(train.Named(**small), SET)]
  if config['network'] is not None:
    networks.append(names.network(config['network'])(image_size=224))
  for network in networks:
    recipe.of_network(network)
  batches = dataclasses.replace(
    datasets.batches_for(dataclasses.replace(recipe, batch_size=6), SET)
  )
  parts = train_lib.make(
    recipe.of_network(networks[0]).network(recipe.numerics),
    batches,
    tx=recipe.tx(steps),
    smoothing=recipe.smoothing,
    decay=recipe.ema_decay,
  )
  first = state = jax.jit(parts.init)(jax.random.key(0), SET.train)
  step = jax.jit(parts.step)
  for _ in range(2):
    state, metrics = step(state, SET.train)
  assert np.isfinite(metrics['train_loss'])
  moved = jax.tree.map(lambda a, b: (a != b).any(), first.params, state.params)
  assert any(jax.tree.leaves(moved))


@pytest.mark.drawn(2)
@pytest.mark.slow
@pytest.mark.parametrize('name', presets.SEARCH)
def test_a_search_preset_builds_and_takes_two_steps(name, monkeypatch):
  """Its space is built; the steps are of a tiny one, with its recipe."""
  monkeypatch.setattr(sources, 'open_or_stream', lambda *_, **__: SET)
  config = cli.defaults(search.OPTIONS) | {'preset': name}
  given = {'limit': ['macs=6000'], 'space': 'tiny', 'batch_size': 6}
  preset = presets.SEARCH[name].flags
  assert names.space(preset['space'])(image_size=224).image_size == 224
  config = presets.applied(config | given, given, presets.SEARCH)
  inputs = search_prepare(config)
  parts = inputs_lib.build(inputs)
  arrays = inputs.train, inputs.valid
  state = jax.jit(parts.init)(jax.random.key(0), *arrays)
  step = jax.jit(parts.step)
  for _ in range(2):
    state, metrics = step(state, *arrays)
  assert np.isfinite(metrics['total_loss'])
