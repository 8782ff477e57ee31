"""Writes the report of a sweep: a page, figures, a table, all architectures."""

import csv
import io
import math
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from nasjax import files, report
from nasjax.report import document
from nasjax.run import datasets, finished
from nasjax.run.workdir import (
  diverged_file,
  metrics_file,
  schema,
)
from nasjax.space import Architecture, read_record

from . import comparisons as comparisons_lib
from . import figures, kept, page, pieces, ranks, search_page
from . import plan as plan_lib
from . import results as results_lib
from .networks import SEARCHED, Plan
from .results import Results, Scored


def _finalists(choices: int | None = None) -> schema.Kind:
  """Architectures that a search or a control trained, with what they had."""
  return schema.each(
    schema.fields(
      choice=schema.each(schema.text, choices),
      # None of a training that diverged.
      valid_accuracy=schema.maybe(schema.share),
    )
  )


_COST = schema.fields(cost=schema.whole, argmax_cost=schema.whole)
# Fields that a report reads from the files of a sweep.
_SEARCHED = schema.fields(
  resources=schema.fields(macs=_COST),
  certificate=schema.anything,
  finalists=_finalists(),
  alphas=schema.values(schema.each(schema.number)),
)
_MEMBER = schema.fields(
  steps=schema.whole,
  images=schema.whole,
  seconds=schema.maybe(schema.number),
  compile_seconds=schema.number,
  device=schema.text,
)
_INHERITED = schema.fields(member=schema.text, valid_accuracy=schema.share)


def write(prepared: Any, plan: Plan, results: Results) -> list[pathlib.Path]:
  """Writes everything into the workdir.

  Args:
    prepared: of `setup.prepare`.
    plan: all networks.
    results: of all trainings.

  Returns:
    The files that are for people.
  """
  workdir, resource = prepared.setting.workdir, prepared.setting.resource
  found = results_lib.scored(plan, results)
  inherited = _inherited(workdir, plan)
  accuracies = {k: v['valid_accuracy'] for k, v in inherited.items()}
  members = [
    v['member'] for k, v in inherited.items() if plan.networks[k].level.middle
  ]
  content = page.Content(
    groups=results_lib.groups(prepared.levels, found),
    comparisons=comparisons_lib.comparisons(prepared.levels, found),
    ranks=ranks.of(found, accuracies, members[0] if members else ''),
    missing=plan.missing,
    members=_members(prepared, plan),
    results=list(results.values()),
    networks=len(plan.networks),
    noises=results_lib.noises_of(found),
    finalists=finalists(prepared),
  )
  figures.draw(workdir, resource, prepared.levels, found, content.ranks)
  classes = datasets.classes_of(prepared.setting.dataset)
  _write_architectures(workdir / 'architectures', plan, found, classes)
  rows = results_lib.csv_rows(plan, results, accuracies)
  table = io.StringIO()
  writer = csv.DictWriter(table, rows[0], lineterminator='\n')
  writer.writeheader()
  writer.writerows(rows)
  blocks = page.blocks(prepared, content)
  text = document.markdown(page.short(blocks, resource))
  return [
    _written(workdir / kept.PAGE, text),
    _written(workdir / 'report.html', document.page(blocks, workdir)),
    _written(workdir / kept.TABLE, table.getvalue()),
  ]


def _written(path: pathlib.Path, text: str) -> pathlib.Path:
  files.write_text(path, text)
  return path


def _inherited(workdir: pathlib.Path, plan: Plan) -> dict[str, dict[str, Any]]:
  """By folder, what was measured with a supernet's weights."""
  paths = {f: pieces.inherited_path(workdir, f) for f in plan.networks}
  return {f: schema.read(p, _INHERITED) for f, p in paths.items() if p.exists()}


def _members(prepared: Any, plan: Plan) -> list[dict[str, Any]]:
  """What each search took and gave."""
  searches = prepared.setting.workdir / 'searches'
  found = []
  for entry in plan.entries:
    if entry.kind == SEARCHED:
      folder = searches / entry.member
      record = schema.read(folder / 'architecture.json', _SEARCHED)
      found.append(
        {
          'name': entry.member,
          'trained_as': entry.folder,
          'resources': record['resources'],
          'log_prob': record['certificate'],
          'finalists': record['finalists'],
          'entropy': _entropy(folder, record),
          **schema.read(folder / 'member.json', _MEMBER),
        }
      )
  return found


def finalists(prepared: Any) -> list[search_page.Finalists]:
  """Of the middle level, by whose they are and where they downsample."""
  levels, sizes, workdir = prepared[:2] + (prepared.setting.workdir,)
  members = {
    'searches': plan_lib.members(levels, sizes),
    'controls': plan_lib.controls(levels, sizes),
  }
  groups: dict[tuple[str, str, int], list[float]] = {}
  for whose, each in members.items():
    for member in each:
      if not member.level.middle:
        continue
      folder = workdir / whose / member.name
      if diverged_file.read(folder):
        continue
      tried = _finalists(len(prepared.space.choices))
      path = folder / 'architecture.json'
      found = schema.read(path, schema.fields(finalists=tried))['finalists']
      for i, one in enumerate(found, 1):
        if one['valid_accuracy'] is None:  # Its training diverged.
          continue
        choice = dict(zip(prepared.space.choices, one['choice'], strict=True))
        result = finished.result(folder / f'finalists/{i}/result.json')
        key = whose, choice.get('pattern', '-'), result['test_images']
        groups.setdefault(key, []).append(one['valid_accuracy'])
  return [
    search_page.Finalists(whose, pattern, images, group)
    for (whose, pattern, images), group in sorted(groups.items())
  ]


def _entropy(folder: pathlib.Path, record: Mapping[str, Any]) -> float:
  """Of a search's last probabilities, as a share of the largest there is."""
  path, rows = folder / 'metrics.jsonl', metrics_file.read(folder)
  choices = {name: schema.number for name in record['alphas']}
  kind = schema.fields(entropy=schema.fields(**choices))
  last = schema.hold(path, rows[-1] if rows else None, kind)['entropy']
  return statistics.fmean(
    last[name] / math.log(len(alpha))
    for name, alpha in record['alphas'].items()
  )


def _write_architectures(
  folder: pathlib.Path,
  plan: Plan,
  found: Sequence[Scored],
  classes: Sequence[str],
) -> None:
  """A file and a picture of each network that was trained, and one of all."""
  folder.mkdir(exist_ok=True)
  scores = {s.entry.folder: s for s in found}
  for name, entry in plan.networks.items():
    own = entry.architecture or Architecture(entry.network, ())
    own.save(
      folder / f'{name}.json',
      name=name,
      kind=entry.kind,
      budget=entry.budget,
      search=entry.member,
      macs=scores[name].macs,
      params=scores[name].params,
      test_accuracies=list(scores[name].tests),
      classes=list(classes),
    )
    path = folder / f'{name}.png'
    if not path.exists():
      report.architecture_figure(path, entry.network, title=name)
  kept.write_architectures(
    folder.with_name(kept.ARCHITECTURES),
    {name: read_record(folder / f'{name}.json') for name in plan.networks},
  )
