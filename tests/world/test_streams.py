from __future__ import annotations

import uuid

from egolib.world.streams import stream, uid


def test_a_stream_is_its_key() -> None:
    first = stream("mini", 0, "train", 3, "camera").random(4)
    assert (first == stream("mini", 0, "train", 3, "camera").random(4)).all()
    assert (first != stream("mini", 0, "train", 3, "script").random(4)).all()


def test_keys_do_not_run_together() -> None:
    assert stream("a", "bc").random() != stream("ab", "c").random()
    assert stream("v", 1, 12).random() != stream("v", 11, 2).random()


def test_uids_are_uuids() -> None:
    name = uid("mini", 0, "val", 1)
    assert str(uuid.UUID(name)) == name and uuid.UUID(name).version == 4
    assert uid("mini", 0, "val", 2) != name
