"""What a search that diverged says."""

from nasjax.run import divergence
from nasjax.run.config import SearchConfig

_LARGE = 1e4  # A loss that is finite, but will not be for long.


def message(config: SearchConfig, bad: divergence.Bad) -> str:
  """What a diverged search says, with the rate to lower.

  A weight step comes first; the alpha step uses the new weights. So if the
  alpha loss was finite and the next weight loss is not, the alpha step caused
  it.
  """
  weights, alphas = 'learning_rate', 'alpha_learning_rate'
  price = 'strength' if config.dual_rate is None else 'dual_rate'
  task = [bad.before.get(name, 0.0) for name in ('train_loss', 'valid_loss')]
  grown = any(abs(loss) > _LARGE for loss in task)
  priced = abs(bad.before.get('total_loss', 0.0)) > _LARGE and not grown
  # Of alphas that learnt, judged with the weights that there are now.
  moved = weights if grown or 'valid_loss' not in bad.before else alphas
  moved = price if priced else moved
  cause, seen = {
    'train_loss': (moved, 'its loss is not finite'),
    'valid_loss': (weights, 'its loss on images of the alphas is not finite'),
    'total_loss': (price, 'what the constraint adds is not finite'),
    'state': (moved, 'its weights or alphas are not finite'),
    'weights_skipped': (weights, 'too many steps in a row are not finite'),
    'alphas_skipped': (alphas, 'too many steps in a row are not finite'),
  }[bad.what]
  names = dict.fromkeys((cause, weights, alphas))
  rates = ', '.join(f'{name} {getattr(config, name)}' for name in names)
  where = f'step {bad.step} of {config.taken.all}'
  return (
    f'the search diverged: {seen} from {where} on ({rates}); '
    f'lower {cause} and give another workdir'
  )
