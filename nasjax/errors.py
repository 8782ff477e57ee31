"""Errors that the user can correct."""

__all__ = ['DivergedError', 'InputError']


class InputError(ValueError):
  """Bad input: one line that says what was wrong, the value, what is right.

  The library raises it for what a person typed or a file contained; scripts
  print it as one line and exit non-zero. Any other exception is a defect and
  keeps its traceback.

  Example:
    >>> raise InputError('unknown space ``tiny``; choose from mobile')
    Traceback (most recent call last):
    ...
    nasjax.errors.InputError: unknown space ``tiny``; choose from mobile
  """


class DivergedError(InputError):
  """A training or a search whose numbers are no longer finite.

  A rate or a strength is the cause as a rule, so it is the user's to change.
  The message has one line: since which step, with which rates.

  Example:
    >>> raise DivergedError('the training diverged from step 3 on')
    Traceback (most recent call last):
    ...
    nasjax.errors.DivergedError: the training diverged from step 3 on
  """
