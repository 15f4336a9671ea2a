"""Making a world: the same whatever the workers, resumed, recognised, never mixed up."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from egolib import world
from egolib.errors import EgolibError
from egolib.world import settings as world_settings
from egolib.world.episode import video_uid
from egolib.world.settings import WorldSettings


@pytest.fixture(scope="module")
def small_settings() -> WorldSettings:
    """Five short videos."""
    return replace(
        world_settings.read("tiny"),
        name="test",
        train_videos=3,
        val_videos=1,
        test_videos=1,
        mcq_questions=4,
        vq_queries=(6, 3, 3),
        vod_snippets=(2, 2),
        det_stills=2,
        charades_clips=(2, 2),
        nlq_queries=(4, 2, 2),
        narrators=1,
    )


def content(root: Path) -> dict[str, bytes]:
    """Every file but the encoded ones."""
    return {
        str(p.relative_to(root)): p.read_bytes()
        for p in sorted(root.rglob("*"))
        if p.is_file() and p.suffix.lower() not in (".mp4", ".npz")
    }


@pytest.fixture(scope="module")
def made(small_settings: WorldSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made") / "one"
    world.make(small_settings, root, workers=1)
    return root


def test_the_number_of_workers_changes_nothing(
    small_settings: WorldSettings, made: Path, tmp_path: Path
) -> None:
    world.make(small_settings, tmp_path / "two", workers=2)
    one, two = content(made), content(tmp_path / "two")
    assert one["manifest.csv"] == two["manifest.csv"]
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []


def test_another_seed_is_another_world(small_settings: WorldSettings) -> None:
    from egolib.world.episode import make_episode
    from egolib.world.visibility import event_log, log_sha256

    logs = {
        seed: log_sha256(
            event_log(make_episode(replace(small_settings, world_seed=seed), "val", 0))
        )
        for seed in (0, 0, 1)
    }
    assert len(set(logs.values())) == 2
    again = log_sha256(event_log(make_episode(small_settings, "val", 0)))
    assert again == logs[0]


def test_a_finished_world_is_not_drawn_again(small_settings: WorldSettings, made: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in made.rglob("*") if p.is_file()}
    manifest = world.make(small_settings, made, workers=1)
    assert len(manifest) == 5
    assert before == {p: p.stat().st_mtime_ns for p in made.rglob("*") if p.is_file()}


def test_an_interrupted_world_goes_on(
    small_settings: WorldSettings, made: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from egolib.world import build

    root, drawn = tmp_path / "stopped", []
    draw = build.draw_video

    def stop_at_third(*arguments: object) -> dict:
        if len(drawn) == 2:
            raise KeyboardInterrupt
        drawn.append(arguments[1:3])
        return draw(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(build, "draw_video", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        world.make(small_settings, root)
    monkeypatch.undo()
    with pytest.raises(EgolibError, match="unfinished"):
        world.load(root)
    first = root / "videos" / f"{video_uid(small_settings, 'train', 0)}.mp4"
    kept = first.stat().st_mtime_ns
    world.make(small_settings, root)
    assert first.stat().st_mtime_ns == kept
    assert content(root) == content(made)


def test_other_settings_in_the_same_folder_are_said(
    small_settings: WorldSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    brief = replace(small_settings, train_videos=1, val_videos=3, test_videos=1)
    world.make(brief, tmp_path / "w")
    assert not caplog.text
    (tmp_path / "w" / "notes.txt").write_text("mine")
    old = world.manifest(tmp_path / "w")
    new = world.make(brief, tmp_path / "w", seed=7)
    assert "world_seed 0 -> 7" in caplog.text
    assert set(old["uid"]).isdisjoint(new["uid"])
    assert len(list((tmp_path / "w" / "videos").iterdir())) == 5
    assert (tmp_path / "w" / "notes.txt").read_text() == "mine"


def test_a_folder_with_other_files_is_refused(
    small_settings: WorldSettings, tmp_path: Path
) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(EgolibError, match="not a built-in world"):
        world.make(small_settings, tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "thesis.tex"]


def test_tiny_is_small(tiny_root: Path) -> None:
    sizes = {os.stat(p).st_ino: p.stat().st_size for p in tiny_root.rglob("*") if p.is_file()}
    assert sum(sizes.values()) < 3_100_000


def test_truth_by_uid(tiny_root: Path) -> None:
    manifest = world.manifest(tiny_root)
    truth = world.truth(tiny_root, manifest["uid"][0])
    assert truth.boxes.shape[0] == manifest["frames"][0] == 200
    assert truth.log["uid"] == manifest["uid"][0]
    with pytest.raises(EgolibError, match="no readable truth"):
        world.truth(tiny_root, "nobody")
