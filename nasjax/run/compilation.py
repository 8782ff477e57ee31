"""Compiles programs, and keeps them for the next start.

Scripts turn XLA's persistent cache on: in `~/.cache/nasjax`, or in the folder
of their flag or of the environment variable `JAX_COMPILATION_CACHE_DIR`.
Programs are found by content, versions and machine (see `kept_programs`), so
the folder may be deleted at any time.
"""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
from jax.sharding import NamedSharding

from nasjax.run import (
  fast_init_rng,
  kept_programs,
  progress,
)
from nasjax.run.hosts import devices

VARIABLE = 'JAX_COMPILATION_CACHE_DIR'
OFF = 'none'
_HIT = '/jax/compilation_cache/cache_hits'

# Compilations run in threads; each hears of its own.
_heard = threading.local()


def keep(directory: str | None) -> None:
  """Turns the cache on before anything is compiled.

  Its folder is made when something is compiled, so that bad flags leave none.

  Args:
    directory: folder of the cache; None is the default, see above.

  Raises:
    InputError: the folder cannot be written to.
  """
  if directory == OFF:
    jax.config.update('jax_enable_compilation_cache', False)
    return
  directory = directory or os.environ.get(VARIABLE) or '~/.cache/nasjax'
  path = kept_programs.folder(directory)
  kept_programs.listen(path)
  jax.config.update('jax_compilation_cache_dir', str(path))
  if 'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS' not in os.environ:
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.3)


def compiled(
  name: str, step: Callable, state: Any, *args: Any, donate: bool = True
) -> Callable:
  """Compiles a step, which may overwrite its state (`donate`).

  It prints on stderr how long that took, and whether the cache had it. Only the
  shapes of state and arguments are used, so shapes suffice.
  """
  donated = 0 if donate else ()
  start = time.monotonic()
  # What is on all devices stays there, so that a step can follow a step.
  where = jax.tree.leaves(state)[0].sharding
  out = where if isinstance(where, NamedSharding) else None
  jitted = jax.jit(step, donate_argnums=donated, out_shardings=out)
  with progress.activity(f'tracing {name}'):
    lowered = jitted.lower(state, *args)
  traced = time.monotonic()
  _heard.hits = 0
  with progress.activity(f'compiling {name}'):
    found = lowered.compile()
  seconds = time.monotonic() - traced
  how = 'read from the cache' if _heard.hits else 'compiled'
  progress.note(
    f'{name}: traced in {traced - start:.1f} s, {how} in {seconds:.1f} s'
  )
  return found


def initial(
  init: Callable, *args: Any, sharding: NamedSharding | None = None
) -> tuple[Any, Callable[..., Any]]:
  """The shapes of `init(*args)`, and the function that waits for its arrays.

  Called without arguments, the function uses those given here; it also takes
  others of the same shapes. It compiles in its own thread, so that steps can
  compile at the same time. Its random draws would take as long to compile as a
  training step. They run once, for milliseconds, so we use a simpler generator
  and no optimisation.

  Args:
    init: a pure function.
    *args: its arguments, a key first.
    sharding: how batches are split; the result is on all of these devices.
  """
  with progress.activity('tracing first weights'):
    lowered = jax.jit(fast_init_rng.drawn_quickly(init)).lower(*args)

  options = {'xla_backend_optimization_level': 0}
  pool = ThreadPoolExecutor(max_workers=1)
  found = pool.submit(lowered.compile, compiler_options=options)  # pyrefly: ignore[bad-argument-type] # jax: ints, too
  pool.shutdown(wait=False)

  def start(*others: Any) -> Any:
    made = found.result()(*(others or args))
    return devices.everywhere(made, sharding)

  return devices.shapes_everywhere(lowered.out_info, sharding), start


def _hear(event: str, **_: Any) -> None:
  if event == _HIT:
    _heard.hits = getattr(_heard, 'hits', 0) + 1


jax.monitoring.register_event_listener(_hear)
