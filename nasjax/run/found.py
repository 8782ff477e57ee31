"""The result of a search."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from nasjax import cost, derive, report
from nasjax.derive.problem import Alphas
from nasjax.errors import InputError
from nasjax.run import outcome
from nasjax.run.config import SearchConfig
from nasjax.run.limits import Limits
from nasjax.space import Architecture, SearchSpace, as_chain
from nasjax.supernet import Gates

FIGURES = 'alphas', 'cost', 'architecture'


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
  """The result of a search.

  Attributes:
    architecture: the derived architecture, within the limits.
    alphas: logits of the probabilities at the end, name of a choice to
      `f32[*shape, options]`. With `relax='contributions'`: scores, by how much
      an option lowers the mean loss, in standard deviations; they do not know
      of the limits.
    metrics: a dict for each logged step: `step`, losses, costs, `probs`.
    limits: cost to the largest value allowed, in the cost's unit.
    config: how the search was run.
    weights: the supernet's weights, `slot / op / ...`; None if the search was
      finished before and was read from its workdir.
    finalists: a record of each trained finalist; empty without finalists.
    stopped: step and reason if a rule stopped the search; None if none did.
    record: the content of `architecture.json`; {} without a workdir.
    gates: whether the supernet can rank, by the networks that were judged;
      None for a search that judges none, see `nasjax.supernet.gates`.
  """

  architecture: Architecture
  alphas: Alphas
  metrics: list[dict[str, Any]]
  limits: dict[cost.Cost, float]
  config: SearchConfig
  weights: Mapping[str, Any] | None = None
  finalists: list[dict[str, Any]] = dataclasses.field(default_factory=list)
  stopped: Mapping[str, Any] | None = None
  record: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  gates: Gates | None = None

  @property
  def space(self) -> SearchSpace:
    """The space that was searched."""
    return self.architecture.space

  @property
  def network(self) -> SearchSpace:
    """The derived network; `nasjax.run.train` takes it."""
    return self.space.fix(self.architecture)

  @functools.cached_property
  def certificate(self) -> derive.Certificate:
    """Cost against limit, log-probability, and the gap to the optimum."""
    return outcome.certified(
      self.architecture,
      self.alphas,
      self.limits,
      self.config.fill,
      self.finalists,
    )

  def within(self, limits: Limits, fill: float | None = None) -> 'Found':
    """The most probable architecture within other limits, same alphas.

    Args:
      limits: cost of the space to the largest value allowed, in the cost's
        unit.
      fill: minimum fraction of at least one limit, 0 to 1, if an architecture
        uses it; None is that of the search.

    Returns:
      The same search with this architecture and these limits, without
      finalists.

    Raises:
      InputError: no architecture satisfies the limits, or none was found in
        time.
      ValueError: `fill` is out of its range, or a cost is of another space.
    """
    fill = self.config.fill if fill is None else fill
    a = derive.within(self.space, self.alphas, limits, fill=fill)
    return dataclasses.replace(
      self,
      architecture=a,
      limits=dict(limits),
      config=dataclasses.replace(self.config, fill=fill),
      finalists=[],
      record={},
    )

  def figure(self, what: str = 'alphas'):
    """A matplotlib figure; nothing is written.

    Args:
      what: `'alphas'` (probabilities over the steps), `'cost'` (costs against
        limits) or `'architecture'` (the derived network).

    Raises:
      InputError: another word, or `'architecture'` for a space that is no
        chain; or matplotlib is not installed.
    """
    if what not in FIGURES:
      raise InputError(
        f'figure {what!r} is not known; choose from {", ".join(FIGURES)}'
      )
    if what == 'alphas':
      return report.draw_alphas(self.metrics, self.space)
    if what == 'cost':
      return report.draw_costs(self.metrics, self.limits)
    return report.draw_network(as_chain(self.space).fix(self.architecture))
