"""A certificate has the numbers of a recount."""

import numpy as np
import pytest

from nasjax import cost, derive, space, spaces
from tests.derive.derive_cases import costs_of, drawn_alphas


def test_a_certificate_has_the_numbers_of_a_recount():
  s, (macs, params, memory) = costs_of(spaces.mobile_small)
  rng = np.random.default_rng(4)
  exceeded = 0
  for _ in range(20):
    alphas = drawn_alphas(s, rng)
    limits = {macs: 1_000_000, params: 60_000, memory: memory.bounds()[1]}
    found = derive.within(s, alphas, limits)
    plain = space.argmax(s, alphas)
    certificate = derive.certificate(found, alphas, limits)
    assert certificate.log_prob == derive.log_prob(found, alphas)
    assert certificate.argmax_log_prob >= certificate.log_prob
    assert list(certificate.kept) == ['macs', 'params', 'memory']
    for c, limit in limits.items():
      kept = certificate.kept[c.name]
      counted = {'macs': cost.macs, 'params': cost.params}.get(
        c.name, cost.memory
      )(space.fix(s, found)).constant
      assert (kept.cost, kept.limit, kept.unit) == (counted, limit, c.unit)
      assert kept.slack == limit - counted >= 0
      assert kept.argmax_cost == c.exact(plain)
      assert kept.argmax_excess == max(0, c.exact(plain) - limit)
      exceeded += kept.argmax_excess > 0
    if macs.exact(plain) > 1_000_000:
      with pytest.raises(ValueError, match='macs requires at most 1000000'):
        derive.certificate(plain, alphas, limits)
  assert exceeded > 10


def test_a_certificate_of_two_costs_of_one_name_is_refused():
  s, (macs, _, _) = costs_of(spaces.tiny)
  a = space.Architecture.from_indices(s, (0, 0, 0))
  ones = {k: dict.fromkeys(n, 1) for k, n in s.choices.items()}
  limits = {macs: 10**9, cost.table(s, 'macs', 'mJ', ones): 3}
  with pytest.raises(ValueError, match='several of macs'):
    derive.certificate(a, space.init_alphas(s), limits)
