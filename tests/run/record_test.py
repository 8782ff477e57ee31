"""What runs write about themselves."""

import dataclasses

import jax.numpy as jnp
import pytest

from nasjax import spaces
from nasjax.run import record
from tests.conftest import refused


def test_fingerprints_tell_contents_apart():
  tiny = spaces.tiny()
  same = dataclasses.replace(tiny, slots=tuple(tiny.slots))
  other = dataclasses.replace(tiny, image_size=tiny.image_size + 1)
  assert record.fingerprint(tiny, 3) == record.fingerprint(same, 3)
  found = {record.fingerprint(*parts) for parts in [(tiny, 3), (other, 3)]}
  assert len(found | {record.fingerprint(tiny, 4)}) == 3


def test_versions_name_what_numbers_depend_on():
  assert {'python', 'nasjax', 'jax', 'jaxlib', 'flax', 'optax', 'numpy'} == set(
    record.versions()
  )


def test_arrays_become_plain_numbers():
  found = record.to_host({'a': jnp.arange(2), 'b': (jnp.float32(0.5),)})
  assert found == {'a': [0, 1], 'b': (0.5,)}


@pytest.mark.parametrize('text', ['', '{"a": ', 'nothing', '[' * 100_000])
def test_a_damaged_file_is_one_line(tmp_path, text):
  path = tmp_path / 'x.json'
  path.write_text(text)
  refused('truncated or no JSON', record.read_json, path)
  refused('No such file', record.read_json, tmp_path / 'missing.json')
