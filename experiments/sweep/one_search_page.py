"""What `experiments.compare` writes of its networks."""

from collections.abc import Mapping, Sequence
from typing import Any

from nasjax import files, report
from nasjax.report.markup import code, literal
from nasjax.run import datasets, finished

from . import results
from .networks import Entry, Plan
from .setting import Setting


def write_networks(setting: Setting, plan: Plan) -> None:
  """Writes a picture of each network, and a file of those of the space.

  They lie where the network is trained.

  Raises:
    InputError: a folder has another network.
  """
  for name, entry in plan.networks.items():
    folder = setting.workdir / setting.layout.format(folder=name, seed='')
    with files.writing(folder):
      folder.mkdir(parents=True, exist_ok=True)
    if entry.architecture is not None:
      among = entry.architecture.space
      finished.check_workdir(folder, entry.network, among)
      entry.architecture.save(
        folder / 'architecture.json',
        **_role(plan, entry),
        classes=datasets.classes_of(setting.dataset),
      )
    report.architecture_figure(
      folder / 'architecture.png', entry.network, title=name
    )


def _role(plan: Plan, entry: Entry) -> dict[str, Any]:
  """An entry in files of the comparison; `also` are its smaller budgets."""
  also = [e.budget for e in plan.entries if e.folder == entry.name]
  role = {'name': entry.name, 'kind': entry.kind, 'limit': entry.budget}
  return role | ({'also': also[1:]} if also[1:] else {})


def rows(plan: Plan, found: results.Results) -> list[dict[str, Any]]:
  """A row of `report.comparison_table` for each network with a result."""
  by_folder = {one.folder: result for one, result in found.items()}
  return [
    {**by_folder[name], **_role(plan, entry)}
    for name, entry in plan.networks.items()
    if name in by_folder
  ]


def write(
  setting: Setting,
  rows: Sequence[Mapping[str, Any]],
  fill: float,
  diverged: Sequence[str] = (),
) -> str:
  """Writes `results.json`, `accuracy.png`, `report.md`; returns the table.

  Args:
    setting: of the trainings.
    rows: of `rows`.
    fill: minimum fraction of a limit that networks use.
    diverged: networks whose training did; the page names them.
  """
  workdir, recipe = setting.workdir, setting.recipe
  files.write_json(workdir / 'results.json', rows)
  report.comparison_figure(workdir / 'accuracy.png', rows)
  table = report.comparison_table(rows)
  merged = ''.join(
    f'{literal(row["name"])} is also the network derived within {budget:,} '
    'MACs; it was trained once.\n\n'
    for row in rows
    for budget in row.get('also', ())
  )
  if diverged:
    merged += (
      f'The training of {", ".join(diverged)} diverged: it has no accuracy.\n\n'
    )
  dataset = literal(rows[0]['dataset'])
  text = f"""# Searched networks and their alternatives

Made by {code(setting.command)}.

Every network was trained once, from scratch, with the same recipe:
{recipe.epochs} epochs of batches of {recipe.batch_size} on all training images
of {dataset}. Accuracy is on all {rows[0]['test_images']:,} test
images, which nothing else saw. It is one training each: a difference that is
no larger than those among the random networks means nothing.

{table}
{merged}![accuracy against MACs](accuracy.png)

The searched networks have the highest scores, and the random ones are uniform
draws, among the networks of the space that keep their budget and use at least
{fill:.0%} of it, where there are such. A control is derived like a searched
network, but from random scores. MobileNetV2 is scaled by its width
multiplier to the largest width within the budget. On images under 64 pixels
its earliest strides of 2 become 1 until the last feature map is at least 2
pixels high, widths are rounded to multiples of 4 (of 2 where that uses more of
the budget), and the head is scaled as well.
"""
  files.write_text(workdir / 'report.md', text)
  return table
