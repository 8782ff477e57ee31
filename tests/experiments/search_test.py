"""The script that searches: killed, stopped, shown, and given bad flags."""

import json
import re

import jax
import numpy as np
import pytest

from experiments import search
from experiments.flags import cli
from nasjax import (
  cost,
  derive,
  ops,
  report,
  space,
  spaces,
)
from nasjax import search as search_lib
from nasjax.run import config as config_lib
from nasjax.run import inputs as inputs_lib
from nasjax.run import (
  outcome,
  search_loop,
)
from nasjax.run.workdir import metrics_file
from tests.conftest import refused
from tests.experiments.script_cases import (
  SMALL,
  call,
  kill_after,
  newest_state,
  start,
  without_command,
)
from tests.experiments.told_cases import search_prepare, search_run
from tests.run.run_cases import Alphas, keep


@pytest.mark.slow
def test_a_killed_search_ends_bit_for_bit_where_it_would_have(
  searched, tmp_path, drawn
):
  again = tmp_path / 'run'
  args = [f'--workdir={again}', *SMALL]
  process = start('search', *args)
  lines = drawn.randint(2, 7)  # of 8; which one must not matter
  assert kill_after(process, again / 'metrics.jsonl', lines), lines
  assert not (again / 'architecture.json').exists()
  call('search', *args)
  first, second = (d / 'metrics.jsonl' for d in (searched, again))
  assert first.read_text() == second.read_text()
  assert newest_state(searched) == newest_state(again)
  first, second = (d / 'architecture.json' for d in (searched, again))
  assert without_command(first) == without_command(second)


STOPPED = {'space': 'tiny', 'steps': 60, 'warmup_steps': 4, 'batch_size': 16}
STOPPED |= {'relax': 'softmax'}
STOPPED |= {'log_every': 1, 'checkpoint_every': 3, 'alpha_weight_decay': 1e-3}
STOPPED |= {'constraint': 'linear', 'strength': '20', 'skip_dropout': '0.2'}
STOPPED |= {'entropy': '0:0,60:0.1', 'eigenvalue_every': 1, 'stop_skips': 1}
STOPPED |= {'stop_eigenvalue': 1e-6}


@pytest.mark.slow
def test_a_search_that_is_stopped_says_why_and_resumes_to_the_same(
  tmp_path, drawn
):
  """Driven to skips by their price, with every guard on, and killed once."""
  whole, again = tmp_path / 'whole', tmp_path / 'again'
  given = cli.defaults(search.OPTIONS) | STOPPED | {'limit': ['macs=90k']}
  search_run(given, whole)  # In this process, and the others in theirs.
  record = space.read_record(whole / 'architecture.json')
  at, reason = record['stopped']['step'], record['stopped']['reason']
  assert 14 <= at < 60  # Ten steps in a row of the alphas, at least.
  assert 'skips won 1 of the choices' in reason
  assert record['stopped']['returned_to'] == at
  assert 'skip' in record['choice'].values()
  rows = metrics_file.read(whole)
  assert [row['step'] for row in rows] == list(range(1, at + 1))
  choices = spaces.tiny().choices
  for row in rows:
    for name, options in choices.items():
      p = np.array(row['probs'][name])
      wanted = -(p * np.log(p)).sum()
      assert row['entropy'][name] == pytest.approx(wanted, abs=1e-5)
      assert row['entropy'][name] <= np.log(len(options)) + 1e-5
  for row in rows[4:]:
    assert row['skips'] == int(np.argmax(row['probs']['stage2_2']) == 2)
    assert np.isfinite(row['eigenvalue'])
  assert all(row['skips'] == 1 for row in rows[-10:])
  args = [f'--{name}={value}' for name, value in STOPPED.items()]
  args += [f'--workdir={again}', '--limit=macs=90k']
  process = start('search', *args)
  lines = drawn.randint(6, 12)
  assert kill_after(process, again / 'metrics.jsonl', lines), lines
  assert not (again / 'architecture.json').exists()
  out = call('search', *args)
  assert f'stopped at step {at}: {reason}\n' in out
  first, second = (d / 'metrics.jsonl' for d in (whole, again))
  assert first.read_text() == second.read_text()
  assert newest_state(whole) == newest_state(again)
  assert newest_state(whole)[0] == at


@pytest.mark.slow
def test_alphas_wait_for_the_end_of_the_warm_up(searched):
  first, second, after = metrics_file.read(searched)[:3]
  assert [row['step'] for row in (first, second, after)] == [3, 6, 9]
  for row in (first, second):
    assert 'valid_loss' not in row
    assert row['probs'] == first['probs']
  assert np.isfinite(after['valid_loss'])
  for slot, p in after['probs'].items():  # Beyond what a temperature does.
    assert np.abs(np.subtract(p, second['probs'][slot])).max() > 0.01


@pytest.mark.slow
def test_an_architecture_file_says_what_its_limits_and_filling_gave_up(
  searched,
):
  path = searched / 'architecture.json'
  a, record = space.Architecture.load(path), space.read_record(path)
  alphas = {k: np.asarray(v) for k, v in record['alphas'].items()}
  macs, certificate = cost.macs(a.space), record['certificate']
  unfilled = derive.within(a.space, alphas, {macs: 60_000})
  for key, network in (
    ('log_prob', a),
    ('unfilled_log_prob', unfilled),
    ('argmax_log_prob', space.argmax(a.space, alphas)),
  ):
    assert certificate[key] == pytest.approx(derive.log_prob(network, alphas))
  assert certificate['kept']['macs']['limit'] == 60_000


@pytest.mark.slow
def test_an_architecture_file_says_what_it_costs(searched):
  path = searched / 'architecture.json'
  a, record = space.Architecture.load(path), space.read_record(path)
  for name, make in cost.RESOURCES.items():
    row = record['resources'][name]
    assert row['cost'] == make(a.space).exact(a)
    assert row['limit'] is None or row['cost'] <= row['limit']
  counted = json.loads(call('count', f'--architecture={path}', '--json'))
  assert counted['macs'] == record['resources']['macs']['cost']
  assert counted['params'] == record['resources']['params']['cost']
  for figure in ('alphas', 'cost', 'architecture'):
    assert (searched / f'{figure}.png').stat().st_size > 10_000


def _drifting():
  """A search without a network: alphas drift, and the eigenvalue grows late."""
  sizes = {name: len(ops) for name, ops in spaces.tiny().choices.items()}

  def init(key, train, valid):
    alphas = {name: jax.numpy.zeros(n) for name, n in sizes.items()}
    return Alphas(jax.numpy.int32(0), alphas)

  def weight_step(state, train):
    loss = {'train_loss': jax.numpy.float32(2)}
    return state._replace(step=state.step + 1), loss

  def alpha_step(state, train, valid):
    drift = lambda a: a + 0.05 * np.arange(a.size, dtype=a.dtype)  # noqa: E731
    loss = {'valid_loss': jax.numpy.float32(2)}
    return state._replace(alphas=jax.tree.map(drift, state.alphas)), loss

  def eigenvalue(state, valid):
    return 1.2 ** (state.step - 24.0).clip(0)

  return search_lib.Search(
    init,
    weight_step,
    alpha_step,
    weight_step,
    eigenvalue,
    params=lambda *_: {},
    losses=lambda *_: None,
  )


@pytest.mark.slow
def test_a_search_whose_eigenvalue_grows_derives_from_before(
  monkeypatch, tmp_path
):
  """At the temperature that was then; killed and resumed, the same."""
  step_of = search_loop.stepper

  def killed_at(last):
    def stepper(*args, **kwargs):
      advance = step_of(*args, **kwargs)

      def or_killed(run, step):
        if step == last:
          raise KeyboardInterrupt
        return advance(run, step)

      return or_killed

    return stepper

  monkeypatch.setattr(inputs_lib, 'build', lambda inputs: _drifting())
  for figure in ('search_figures', 'architecture_figure'):
    monkeypatch.setattr(report, figure, lambda *args: None)
  given = {'space': 'tiny', 'limit': ['macs=60k'], 'batch_size': 16}
  given |= {'steps': 60, 'warmup_steps': 4, 'log_every': 1}
  given |= {'eigenvalue_every': 2, 'stop_eigenvalue': 0.75}
  # The temperature falls, and the distribution with it.
  given |= {'relax': 'sparsemax', 'temperature': 3.0, 'final_temperature': 0.1}
  given |= {'checkpoint_every': 3}
  config = cli.defaults(search.OPTIONS) | given
  whole, again = tmp_path / 'whole', tmp_path / 'again'
  search_run(config, whole)
  record = space.read_record(whole / 'architecture.json')
  rows = metrics_file.read(whole)
  values = [row['eigenvalue'] for row in rows if 'eigenvalue' in row]
  mean = lambda i: np.mean(values[i - 2 : i + 3])  # noqa: E731
  last = next(i for i in range(6, 30) if mean(i - 4) / mean(i) < 0.75)
  # Measured at 6, 8 and so on; the mean around one is known two later.
  assert record['stopped']['step'] == len(rows) == 6 + 2 * (last + 2)
  back = record['stopped']['returned_to']
  assert back == 6 + 2 * (last - 4)
  assert f'from {mean(last - 4):.3g} to ' in record['stopped']['reason']
  assert f'; derived from step {back}' in outcome.lines(record)[0]
  moved = 0.0
  for slot, logits in record['alphas'].items():
    then, end = (rows[i - 1]['probs'][slot] for i in (back, len(rows)))
    np.testing.assert_allclose(
      jax.nn.softmax(np.array(logits)), then, atol=1e-5
    )
    moved = max(moved, np.abs(np.subtract(then, end)).max())
  assert moved > 0.05
  monkeypatch.setattr(search_loop, 'stepper', killed_at(len(rows) - 2))
  with pytest.raises(KeyboardInterrupt):
    search_run(config, again)
  assert not (again / 'architecture.json').exists()
  monkeypatch.setattr(search_loop, 'stepper', step_of)
  search_run(config, again)
  first, second = (
    (d / 'architecture.json').read_text() for d in (whole, again)
  )
  assert first == second


@pytest.mark.slow
def test_the_bar_shows_losses_and_costs_against_limits_from_the_start(
  searched_and_said,
):
  _, err = searched_and_said
  written = err.replace('\r', '\n').splitlines()
  assert any('compiling weight step' in line for line in written)
  shown = [line for line in written if 'train ' in line or 'valid ' in line]
  assert all(' of 60.0k' in line and '<' in line for line in shown)
  for step in range(3, 25, 3):
    *_, line = (line for line in shown if f' {step}/24 ' in line)
    assert ('valid ' in line) == (step > 6)  # Alphas wait.
    assert ('train ' in line) == (step <= 6)  # Then weights are frozen.
    assert re.search(r'<(\d\d:\d\d|\?)\]', line)  # Time left, once known.
    assert re.search(r'(train|valid) \d\.\d{3}', line)
  assert '<00:00]' in line


def test_limits_that_cannot_be_kept_at_once_are_refused_before_the_search():
  squeezed, wide = ops.MBConv(3, 1, se=1), ops.MBConv(3, mid=24)
  s = spaces.mobile(
    [spaces.Stage(32, 1)],
    image_size=8,
    num_classes=2,
    stem=32,
    stem_stride=1,
    head=8,
    candidates=(squeezed, wide),
  )
  few_macs, few_params = (
    space.Architecture(s, (op.name,)) for op in (squeezed, wide)
  )
  macs, params = cost.macs(s), cost.params(s)
  limit = [f'macs={macs.exact(few_macs)}', f'params={params.exact(few_params)}']
  assert macs.exact(few_params) > macs.exact(few_macs)
  assert params.exact(few_macs) > params.exact(few_params)
  refused('no architecture', keep, s, limit)


# Relaxations.
@pytest.mark.slow
@pytest.mark.parametrize('name', ['binary_gates', 'dirichlet'])
def test_a_search_by_another_relaxation_derives_from_its_law(tmp_path, name):
  """The softmax of the recorded alphas is the last step's distribution."""
  options = {'space': 'tiny', 'limit': ['macs=60k'], 'relax': name}
  options |= {'steps': 8, 'warmup_steps': 2, 'batch_size': 16, 'log_every': 1}
  options |= {'temperature': 2.0, 'final_temperature': 1.0}
  given = cli.defaults(search.OPTIONS) | options
  architecture = search_run(given, tmp_path / 'run').architecture
  assert cost.macs(architecture.space).exact(architecture) <= 60_000
  record = space.read_record(tmp_path / 'run' / 'architecture.json')
  distribution = metrics_file.read(tmp_path / 'run')[-1]['probs']
  for slot, alphas in record['alphas'].items():
    np.testing.assert_allclose(
      jax.nn.softmax(np.array(alphas)), distribution[slot], atol=1e-5
    )


# Bad input.
LAGRANGIAN = {'constraint': 'lagrangian'}
SOFTMAX = {'relax': 'softmax'}


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'dataset': 'fashion'}, "unknown data set 'fashion'"),
    ({'space': 'nowhere:space'}, "no module 'nowhere'"),
    ({'space': 'math.py:space'}, "no module 'math.py'"),
    ({'space': ':space'}, 'no name of a module'),
    ({'space': 'math:pi'}, "no function 'pi'"),
    ({'space': 'math:sqrt'}, "'math:sqrt' is not made from image_size, chan"),
    ({'space': 'builtins:dict'}, "'builtins:dict' is not made from"),
    ({'space': 'unittest.mock:MagicMock'}, "Mock' is no nasjax.space.Space"),
    (LAGRANGIAN | {'dual_rate': float('inf')}, 'above 0 and finite'),
    ({'space': 'huge'}, "unknown space 'huge'; choose from mobile_small"),
    ({'limit': ['20e6']}, 'names no resource; write it as macs=20e6'),
    (
      {'limit': ['ms=20']},
      "unknown resource 'ms'; choose from macs, ",
    ),
    ({'limit': ['macs=ten']}, "'ten' is no number"),
    ({'limit': ['macs=1.5X']}, "'1.5X' is no number; write it as 20e6 or 20M"),
    ({'fill': 1.5}, 'fill is 1.5; it must be 0 to 1'),
    ({'constraint': 'hinge', 'limit': []}, 'hinge needs a limit'),
    ({'constraint': 'band', 'strength': 'much'}, "strength: 'much' is no"),
    ({'limit': ['macs=']}, "'' is no number"),
    ({'limit': ['macs=-5']}, 'is not positive'),
    ({'limit': ['macs=1M', 'macs=2M']}, 'two limits on macs'),
    ({'limit': ['macs=1000']}, 'this space reaches 251984 to 4840624 MACs'),
    ({'limit': []}, 'project_equal needs a limit'),
    ({'constraint': 'hope'}, "unknown constraint 'hope'; choose from"),
    (
      LAGRANGIAN | {'dual_rate': 0.0},
      'dual_rate is 0; with constraint=lagrangian it must be above 0 and fin',
    ),
    (
      {'constraint': 'augmented_lagrangian', 'dual_rate': 2},
      'dual_rate is 2; .* it must be above 0 and at most 1',
    ),
    ({'relax': 'hard'}, "unknown relaxation 'hard'; choose from softmax"),
    (
      {'relax': 'gdas', 'order': 'second'},
      'order=second needs a relaxation that runs all ops, and relax=gdas',
    ),
    (
      {'relax': 'binary_gates', 'fairness': 'uniform'},
      'fairness=uniform needs .* give fairness=strict',
    ),
    (
      {'relax': 'gdas', 'skip_dropout': '0.1'},
      'skip_dropout=0.1 needs a relaxation .* leave it out',
    ),
    (
      {'relax': 'reinmax', 'skip_dropout': '0.1'},
      'skip_dropout=0.1 has no effect with relax=reinmax: .* leave it out',
    ),
    (
      {'relax': 'straight_through', 'skip_dropout': '0.1'},
      'has no effect with relax=straight_through',
    ),
    (
      SOFTMAX | {'fairness': 'strict', 'skip_dropout': '0.1'},
      'has no effect with fairness=strict',
    ),
    ({'temperature': 0.0}, 'temperature is 0.0; it must be positive'),
    ({'temperature': -1.0}, 'temperature is -1.0; it must be positive'),
    ({'temperature': 1e-50}, 'temperature is 1e-50, which is 0 in single'),
    ({'final_temperature': 0.0}, 'final_temperature is 0.0; it must be'),
    ({'temperature': float('inf')}, 'must be positive and finite'),
    (SOFTMAX | {'steps': 0}, 'steps is 0; it must be at least 1'),
    ({'seed': -1}, 'seed is -1; it must be 0 to 4294967295'),
    (
      SOFTMAX | {'steps': 240, 'warmup_steps': 240},
      'warmup_steps is 240; with steps 240 .*0 to 239',
    ),
    (
      SOFTMAX | {'temperature': 1e38, 'final_temperature': 1e-37},
      'final_temperature is 1e-37, 1e-75 times the temperature; it must be',
    ),
    ({'limit': ['macs=1e39']}, "limit 'macs=1e39' is not positive and finite"),
    ({'alpha_learning_rate': 1e39}, 'alpha_learning_rate is 1e.39; it must be'),
    ({'entropy': '1e39'}, 'entropy is 1e.39; it must be finite'),
    (
      {'skip_dropout': '0.99999999'},
      'skip_dropout is 0.99999999; it must be at least 0',
    ),
    (
      {'order': 'third'},
      "unknown order 'third'; choose from first, second, im",
    ),
    (
      {'neumann_terms': 5},
      'neumann_terms=5 has no effect with order=first',
    ),
    ({'order': 'implicit', 'neumann_terms': 0}, 'neumann_terms is 0; it must'),
    ({'order': 'implicit', 'neumann_rate': -1.0}, 'neumann_rate is -1.0; it'),
    ({'weight_decay': -1.0}, 'weight_decay is -1.0; it must be 0 or more'),
    ({'alpha_weight_decay': float('inf')}, 'alpha_weight_decay is inf; it mu'),
    ({'alpha_learning_rate': 0.0}, 'alpha_learning_rate is 0.0; it must be'),
    ({'entropy': 'much'}, "entropy: 'much' is no number"),
    ({'entropy': 'nan'}, 'entropy is nan; it must be finite'),
    (
      SOFTMAX | {'entropy': '0:0,200:0.1'},
      'entropy 0:0,200:0.1 ends at step 200, before the run; with steps 240 '
      'its last step must be 240 or more',
    ),
    ({'entropy': '0:0,x:0.1'}, "'x:0.1' does not begin with a step; write it"),
    ({'entropy': '0:0,0:1,240:1'}, 'its steps must rise'),
    (
      {'skip_dropout': '1.0'},
      r'skip_dropout is 1.0; it must be at least 0 and',
    ),
    (
      SOFTMAX | {'skip_dropout': '0:0.5,100:0'},
      'ends at step 100, before the run',
    ),
    (
      {'fairness': 'very'},
      "unknown fairness 'very'; choose from none, uniform",
    ),
    (
      {'fairness': 'strict', 'order': 'second'},
      'fairness=strict needs order=first',
    ),
    ({'stop_skips': 6}, 'stop_skips is 6; 5 slots of mobile_small have a skip'),
    ({'stop_skips': 0}, 'it must be 1 to 5'),
    (
      {'stop_skips': 1, 'steps': 85, 'warmup_steps': 80},
      r'stop_skips=1 has no effect: alphas learn for 5 steps \(steps is 85, '
      r'warmup_steps 80\), and it takes at least 10; .* at least 10 apart',
    ),
    (
      {'stop_skips': 1, 'steps': 89, 'warmup_steps': 80},
      'alphas learn for 9 steps .* at least 10',
    ),
    ({'stop_eigenvalue': 0.75}, 'give eigenvalue_every, too'),
    (
      {'stop_eigenvalue': 1.5, 'eigenvalue_every': 10},
      'stop_eigenvalue is 1.5; it must be above 0 and below 1',
    ),
    ({'eigenvalue_every': 0}, 'eigenvalue_every is 0; it must be at least 1'),
    ({'eigenvalue_every': 15}, r'a multiple of log_every \(10\)'),
    (
      SOFTMAX | {'eigenvalue_every': 20, 'stop_eigenvalue': 0.75},
      'it is measured 8 times, and must be at least 9',
    ),
    (
      {'eigenvalue_every': 200, 'steps': 240, 'warmup_steps': 200},
      'it is measured 0 times, and must be at least 1',
    ),
    ({'batch_size': 5000}, 'batch_size is 5000; with 2500 examples it must be'),
    ({'cutout': -1}, 'cutout is -1 pixels'),
    ({'cutout': 29}, 'cutout is 29 pixels; for images of 28 x 28'),
    ({'strength': 2.0}, 'strength=2.0 has no effect with constraint=proj'),
    (
      {'constraint': 'linear', 'dual_rate': 1.0},
      'dual_rate=1.0 has no effect with constraint=linear',
    ),
    ({'data_dir': 'data'}, 'data_dir=data has no effect with dataset=fash'),
  ],
)
def test_bad_search_flags_are_one_line_and_write_nothing(
  tmp_path, options, message
):
  given = cli.defaults(search.OPTIONS) | {'limit': ['macs=2M']} | options
  refused(message, search_run, given, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


def test_flags_reach_the_search_that_they_are_of(monkeypatch):
  made = {}
  monkeypatch.setattr(
    search_lib, 'make', lambda *args, **kwargs: made.update(kwargs)
  )
  given = {'order': 'implicit', 'neumann_terms': 5, 'neumann_rate': 0.02}
  given |= {'space': 'tiny', 'limit': ['macs=60k'], 'skip_dropout': '0.3'}
  given |= {'weight_decay': 0.25, 'learning_rate': 0.1, 'steps': 240}
  given |= {'relax': 'softmax'}
  config = cli.defaults(search.OPTIONS) | given
  monkeypatch.setattr(
    search_lib.hypergradient, 'implicit_with', lambda **kwargs: kwargs
  )
  inputs_lib.build(search_prepare(config))
  told = made['hypergradient']
  assert (told['terms'], told['rate']) == (5, 0.02)
  assert float(made['guards'].skip_dropout(7)) == pytest.approx(0.3)
  assert made['guards'].entropy is None
  kernel = {'kernel': np.full((1, 2), 3.0), 'bias': np.full(2, 3.0)}
  assert float(told['regulariser'](kernel)) == pytest.approx(0.25 / 2 * 18)
  # At the peak of the rate, with Nesterov's momentum of a constant decay.
  kernel, warmup = {'kernel': np.ones((2, 2), np.float32)}, 240 // 20
  zeros, tx = jax.tree.map(np.zeros_like, kernel), made['weight_tx']
  state = tx.init(kernel)
  for _ in range(warmup + 1):
    updates, state = tx.update(zeros, state, kernel)
  trace = sum(0.9**i for i in range(warmup + 1))
  wanted = -0.1 * 0.25 * (1 + 0.9 * trace)
  assert float(updates['kernel'][0, 0]) == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize('name', config_lib.RELAXATIONS)
def test_the_relaxation_and_its_temperature_reach_the_search(monkeypatch, name):
  made = {}
  monkeypatch.setattr(
    search_lib, 'make', lambda *args, **kwargs: made.update(kwargs)
  )
  given = {'space': 'tiny', 'limit': ['macs=60k'], 'relax': name}
  given |= {'steps': 60, 'warmup_steps': 20}
  given |= {'temperature': 4.0}
  constant = name == 'contributions'  # It refuses a final temperature.
  if not constant:
    given |= {'final_temperature': 0.25}
  config = cli.defaults(search.OPTIONS) | given
  inputs_lib.build(search_prepare(config))
  assert made['relaxation'] is config_lib.RELAXATIONS[name]
  at = [float(made['temperature'](step)) for step in (0, 20, 40, 60)]
  wanted = [4.0] * 4 if constant else [4.0, 4.0, 1.0, 0.25]
  assert at == pytest.approx(wanted)
