"""The tables of ProxylessNAS and Once-for-All price networks of ours."""

import re

import pytest

from nasjax import cost, latency, ops, space, spaces, zoo
from nasjax.errors import InputError
from nasjax.latency import published
from nasjax.space import Slot, Space
from nasjax.spaces.mobile import Stage, mobile
from tests.conftest import refused

# Cai et al. 2019: the network whose blocks the published table times.
_TRIM = [(24, 4, 2), (40, 4, 2), (80, 4, 2), (96, 4, 1), (192, 4, 2)]


def _proxyless(candidates):
  return mobile(
    [
      Stage(16, 1, candidates=(ops.MBConv(3, 1),)),
      *(Stage(n, blocks, stride) for n, blocks, stride in _TRIM),
      Stage(320, 1),
    ],
    image_size=224,
    num_classes=1000,
    stem=32,
    stem_stride=2,
    head=1280,
    candidates=candidates,
  )


PROXYLESS = _proxyless(
  (*(ops.MBConv(k, e) for k in (3, 5, 7) for e in (3, 6)), ops.Skip())
)


@pytest.mark.shared
def test_the_whole_space_has_its_times(shared, draw):
  times = latency.read_yaml(shared / 'latency/proxyless_mobile_trim.yaml')
  table = latency.proxylessnas(PROXYLESS, times)
  price = cost.latency(PROXYLESS, table)
  for _ in range(3):
    a = draw(PROXYLESS)
    assert price.exact(a) == pytest.approx(_by_hand(a, times), abs=1e-4)
  # Only the first block with a kernel of 5 or 7 is in no network of the space.
  assert len(times) == len(table.entries) + 2


def _by_hand(architecture, times):
  """The sum of published times over the blocks, from their names."""
  keys = [
    'Conv-input:224x224x3-output:112x112x32',
    'expanded_conv-input:112x112x32-output:112x112x16-expand:1-kernel:3-'
    'stride:1-idskip:0',
    'Conv_1-input:7x7x320-output:7x7x1280',
    'Logits-input:7x7x1280-output:1000',
  ]
  size, channels, names = 112, 16, iter(architecture.choice)
  for n, blocks, stride in [*_TRIM, (320, 1, 1)]:
    for i in range(blocks):
      own = stride if i == 0 else 1
      if match := re.fullmatch(r'mbconv_k(\d)_e(\d)', next(names)):
        kernel, expand = match.groups()
        after = size // own
        keys.append(
          f'expanded_conv-input:{size}x{size}x{channels}-output:'
          f'{after}x{after}x{n}-expand:{expand}-kernel:{kernel}-stride:{own}-'
          f'idskip:{int(own == 1 and n == channels)}'
        )
      size, channels = size // own, n
  return sum(times[key] for key in keys)


@pytest.mark.shared
def test_a_published_network_is_priced(shared):
  times = latency.read_yaml(shared / 'latency/proxyless_mobile_trim.yaml')
  network = zoo.mnasnet_b1()
  table = latency.proxylessnas(network, times)
  # Tan et al. 2019, fig. 7, has 16 blocks behind the first of 16 channels.
  rows = ['k3_e3'] * 3 + ['k5_e3'] * 3 + ['k5_e6'] * 3 + ['k3_e6'] * 2
  rows += ['k5_e6'] * 4 + ['k3_e6']
  skips = {3: 'skip', 7: 'skip', 11: 'skip', 13: 'skip', 14: 'skip'}
  choice = iter(rows)
  named = [
    skips[i] if i in skips else f'mbconv_{next(choice)}' for i in range(21)
  ]
  a = space.Architecture(PROXYLESS, tuple(named))
  by_hand = _by_hand(a, times)
  assert cost.latency(network, table).constant == pytest.approx(
    by_hand, abs=1e-4
  )


@pytest.mark.shared
@pytest.mark.parametrize('make', [spaces.proxylessnas, zoo.proxylessnas_mobile])
def test_keys_that_a_table_lacks_are_all_listed(shared, make):
  times = latency.read_yaml(shared / 'latency/proxyless_mobile_trim.yaml')
  with pytest.raises(InputError, match='lacks') as caught:
    latency.proxylessnas(make(), times)
  # The stage of 32 channels is in no such table; all else is.
  listed = re.findall(r'expanded_conv-\S+[^,\s]', str(caught.value))
  of_32 = {'112x112x16-output:56x56x32', '56x56x32-output:56x56x32'}
  of_32.add('56x56x32-output:28x28x40')
  ends = {re.search(r'input:(\S+?)-expand', key)[1] for key in listed}
  assert ends == of_32
  assert len(listed) == (18 if make is spaces.proxylessnas else 3)


# Width, hard-swish, squeeze-excite; each has stride 2 but the fourth.
_OFA = [(32, 0, 0), (48, 0, 1), (96, 1, 0), (136, 1, 1), (192, 1, 1)]


def _once_for_all(image_size, expand, kernel):
  """Once-for-All's network for phones, one kernel and expansion everywhere."""
  slots = [
    Slot('stem', (ops.Conv(3, 'hard_swish'),), 24, 2),
    Slot('first', (ops.MBConv(3, 1, 'relu'),), 24),
  ]
  for features, swish, se in _OFA:
    activation = 'hard_swish' if swish else 'relu'
    op = ops.MBConv(kernel, expand, activation, se=4 * se)
    for b in range(4):
      stride = 2 if b == 0 and features != 136 else 1
      slots.append(Slot(f'{features}_{b}', (op,), features, stride))
  slots.append(Slot('head', (ops.Conv(1, 'hard_swish'),), 1152))
  slots.append(Slot('classifier', (ops.Classifier(0.0, 1536),), 1000))
  return Space('ofa', image_size, 3, tuple(slots))


@pytest.mark.shared
@pytest.mark.parametrize('image_size', [160, 176, 192, 208, 224])
def test_networks_of_once_for_all_are_priced(shared, image_size):
  times = latency.read_yaml(shared / f'latency/ofa_note10_{image_size}.yaml')
  ends = [key for key in times if not key.startswith('expanded')]
  ends += [key for key in times if '-expand:24-' in key]
  assert len(ends) == 6
  seen = set(ends)
  for expand in (3, 4, 6):
    for kernel in (3, 5, 7):
      keys, size, channels = [*ends], image_size // 2, 24
      for features, swish, se in _OFA:
        for b in range(4):
          stride = 2 if b == 0 and features != 136 else 1
          after = -(-size // stride)
          keys.append(
            f'expanded_conv-input:{size}x{size}x{channels}-output:'
            f'{after}x{after}x{features}-expand:{expand * channels}-kernel:'
            f'{kernel}-stride:{stride}-idskip:{int(b > 0)}-se:{se}-hs:{swish}'
          )
          size, channels = after, features
      network = _once_for_all(image_size, expand, kernel)
      price = cost.latency(network, latency.once_for_all(network, times))
      by_hand = sum(times[key] for key in keys)
      assert price.constant == pytest.approx(by_hand, abs=1e-4)
      seen.update(keys)
  assert seen == set(times)  # Each entry is that of some block.


def test_a_block_that_the_keys_do_not_tell_is_listed():
  for op in (
    ops.MBConv(3, 6, 'hard_swish'),
    ops.MBConv(3, 6, se=4),
    ops.MBConv(3, 6, groups=2),
    ops.MBConv(3, 6, residual=False),
    ops.Separable(3),
  ):
    block = space.OpBlock(op, 24, 1)
    network = Space('one', 8, 24, (Slot('only', (op,), 24),))
    assert published.proxylessnas_keys(block, (1, 8, 8, 24)) == ()
    refused('no key there', latency.proxylessnas, network, {'a': 1.0})
