"""Kept results: what was damaged is computed again, and settings never mix."""

from __future__ import annotations

import numpy as np
import pytest

from egolib.runs.result_cache import ResultCache, cache_key


@pytest.fixture
def cache(tmp_path) -> ResultCache:
    return ResultCache(tmp_path, cache_key("nlq", weights=["a"]))


def kept(cache: ResultCache) -> tuple:
    arrays, value = cache.get("one"), cache.get_json("one")
    return (None if arrays is None else arrays["x"].tolist()), value


def test_what_is_kept_is_found(cache):
    cache.put("one", x=np.arange(3))
    cache.put_json(
        "one", {"scores": [0.1, 1e-9], "name": "Ä", "none": None, "of": (1, np.int64(2))}
    )
    arrays, value = kept(cache)
    assert arrays == [0, 1, 2]
    assert value == {"scores": [0.1, 1e-9], "name": "Ä", "none": None, "of": [1, 2]}
    assert kept(ResultCache(cache.folder.parent, cache_key("nlq", weights=["b"]))) == (None, None)


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_a_bit_that_flips_is_never_another_number(cache, suffix):
    cache.put("one", x=np.arange(3))
    cache.put_json("one", {"scores": [0.25, 0.5]})
    file, expected = cache.path("one", suffix), kept(cache)
    content = file.read_bytes()
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        file.write_bytes(changed)
        assert all(own in (None, whole) for own, whole in zip(kept(cache), expected, strict=True))


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_a_file_that_is_cut_is_computed_again(cache, suffix):
    cache.put("one", x=np.arange(3))
    cache.put_json("one", [1, 2])
    file = cache.path("one", suffix)
    for size in (0, 1, file.stat().st_size - 1):
        file.write_bytes(file.read_bytes()[:size])
        assert None in kept(cache)
