from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.video import (
    ClipPlan,
    Encoding,
    ImagePlan,
    Resize,
    VideoPlan,
    VideoReader,
    VideoWriter,
    chunks,
    extract,
    note_of,
    read_image,
    source_frames,
)
from egolib.video.extract import extract_video
from egolib.video.plans import only
from egolib.video.pyav import PyAVFrames
from tests.helpers.video_files import (
    damage,
    encode,
    number_of,
    numbers,
    picture,
    turn_by_metadata,
)
from tests.video.conftest import Sample

FAST = Encoding(preset="ultrafast")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "source.mp4"
    path.parent.mkdir()
    encode(path, range(200))
    return path


def _shown(path: Path) -> list[int]:
    return numbers(VideoReader(path))


def _files(folder: Path) -> set[str]:
    """All files but the ledgers of what was made."""
    files = {p.relative_to(folder) for p in folder.rglob("*") if p.is_file()}
    return {str(path) for path in files if ".made" not in path.parts}


def test_clips_and_images_of_every_kind_of_file(sample: Sample, tmp_path: Path) -> None:
    last = len(sample.numbers) - 1
    clips = {
        "steady.mp4": range(4, last, 6),
        "overlapping.mp4": range(10, 60),
        "late.mp4": range(last - 3, last + 1),
        "scattered.mp4": [0, 0, 7, 50, 51, last, last],
    }
    plan = VideoPlan(
        sample.path,
        [ClipPlan(tmp_path / name, frames, 5, encoding=FAST) for name, frames in clips.items()],
        [ImagePlan(tmp_path / f"images/{frame}.png", frame) for frame in (0, 11, 53, last)],
    )
    outcome = extract([plan])
    assert not outcome.skipped.reasons
    assert len(outcome.written) == 8
    for name, frames in clips.items():
        assert _shown(tmp_path / name) == [sample.numbers[frame] for frame in frames]
        assert source_frames(tmp_path / name) == list(frames)
        assert VideoReader(tmp_path / name).fps == 5
    for frame in (0, 11, 53, last):
        image = read_image(tmp_path / f"images/{frame}.png")
        np.testing.assert_array_equal(image, sample.images[frame])


def test_each_frame_is_decoded_once(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    raw = PyAVFrames.raw

    def counted(self: PyAVFrames, frame: int) -> av.VideoFrame:
        if self.path == source:
            asked.append(frame)
        return raw(self, frame)

    monkeypatch.setattr(PyAVFrames, "raw", counted)
    clips = [ClipPlan(tmp_path / f"{i}.mp4", range(i, i + 60), 30, encoding=FAST) for i in range(4)]
    images = [ImagePlan(tmp_path / f"{i}.jpg", i) for i in range(0, 90, 3)]
    assert len(extract_video(VideoPlan(source, clips, images)).written) == 34
    assert asked == sorted({*range(63), *range(0, 90, 3)})


def test_sizes_and_settings(source: Path, tmp_path: Path) -> None:
    plan = VideoPlan(
        source,
        [
            ClipPlan(tmp_path / "a.mp4", range(0, 60, 6), 5, Resize(90)),
            ClipPlan(tmp_path / "b.mp4", range(0, 60, 6), 5, Resize(63, interpolation="bicubic")),
            ClipPlan(tmp_path / "c.mp4", range(0, 60, 6), 5, encoding=Encoding(crf=40)),
            ClipPlan(tmp_path / "d.mp4", range(0, 60, 6), 5, encoding=Encoding(crf=15)),
        ],
        [
            ImagePlan(tmp_path / "a.jpg", 3, Resize(90)),
            ImagePlan(tmp_path / "b.png", 3, Resize(63)),
        ],
    )
    assert not extract([plan]).skipped.reasons
    assert VideoReader(tmp_path / "a.mp4").size == (120, 90)
    assert VideoReader(tmp_path / "b.mp4").size == (84, 64), "odd sides are enlarged"
    assert read_image(tmp_path / "b.png").shape == (63, 84, 3), "images may have odd sides"
    for name in "abcd":
        assert _shown(tmp_path / f"{name}.mp4") == list(range(0, 60, 6))
    assert (tmp_path / "c.mp4").stat().st_size < (tmp_path / "d.mp4").stat().st_size


@pytest.mark.parametrize("size", [(159, 120), (160, 119), (159, 119)])
def test_odd_sources(size: tuple[int, int], tmp_path: Path) -> None:
    """Odd pictures exist in formats other than yuv420p; here in lossless RGB."""
    path = tmp_path / "odd.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = *size, "bgr0"
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(picture(number, *size), "rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    assert VideoReader(path).size == size
    outcome = extract(
        [VideoPlan(path, [ClipPlan(tmp_path / "a.mp4", range(20), 10)],
                   [ImagePlan(tmp_path / "a.png", 7)])]
    )  # fmt: skip
    assert not outcome.skipped.reasons
    assert _shown(tmp_path / "a.mp4") == list(range(20))
    assert VideoReader(tmp_path / "a.mp4").size == (160, 120)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), VideoReader(path)[7])


def test_turned_sources(source: Path, tmp_path: Path) -> None:
    turn_by_metadata(source, 90)
    plan = VideoPlan(
        source, [ClipPlan(tmp_path / "a.mp4", range(9), 5)], [ImagePlan(tmp_path / "a.png", 8)]
    )
    assert not extract([plan]).skipped.reasons
    reader = VideoReader(tmp_path / "a.mp4")
    assert reader.size == (120, 160)
    assert numbers(np.rot90(image, -1) for image in reader) == list(range(9))
    assert number_of(np.rot90(read_image(tmp_path / "a.png"), -1)) == 8


def test_the_resizing_step_keeps_times_and_sound(tmp_path: Path) -> None:
    source = tmp_path / "source.mkv"
    times = np.cumsum(np.random.default_rng(0).integers(1, 5, 150)).tolist()
    encode(source, [75 + t for t in times], 60, audio=True)
    plan = ClipPlan(
        tmp_path / "a.mp4", resize=Resize(96, "down", interpolation="bicubic"),
        encoding=Encoding(crf=23), audio="copy",
    )  # fmt: skip
    assert not extract([VideoPlan(source, [plan])]).skipped.reasons
    before, after = VideoReader(source), VideoReader(tmp_path / "a.mp4")
    assert numbers(after) == list(range(150))
    assert after.size == (128, 96)
    expected = [before.timestamp(i) - before.start_sec for i in range(150)]
    assert [after.timestamp(i) for i in range(150)] == pytest.approx(expected, abs=1e-3)
    with av.open(str(source)) as old, av.open(str(tmp_path / "a.mp4")) as new:
        sound = [bytes(p) for p in old.demux(audio=0) if p.size]
        copied = [bytes(p) for p in new.demux(audio=0) if p.size]
        assert new.streams.audio[0].codec_context.name == "aac"
    start = sound.index(copied[0])
    assert copied == sound[start : start + len(copied)], "copied unchanged"
    assert len(copied) * 1024 / 16000 == pytest.approx(after.duration_sec, abs=0.2)


def test_chunks_of_a_video_with_sound(tmp_path: Path) -> None:
    source = tmp_path / "source.mp4"
    encode(source, range(100), audio=True)
    parts = chunks(100, 30, 1)
    clips = [ClipPlan(tmp_path / f"{i}.mp4", part, audio="copy") for i, part in enumerate(parts)]
    assert not extract([VideoPlan(source, clips)]).skipped.reasons
    assert [_shown(tmp_path / f"{i}.mp4") for i in range(4)] == [list(part) for part in parts]
    with av.open(str(tmp_path / "1.mp4")) as container:
        seconds = [float(frame.time) for frame in container.decode(audio=0)]
    assert seconds[0] == pytest.approx(0, abs=0.07)
    assert seconds[-1] == pytest.approx(1, abs=0.14)


def test_a_source_without_sound(source: Path, tmp_path: Path) -> None:
    plan = VideoPlan(source, [ClipPlan(tmp_path / "a.mp4", range(9), audio="copy")])
    assert extract([plan]).written == [tmp_path / "a.mp4"]


def test_what_a_clip_says_about_itself(source: Path, tmp_path: Path) -> None:
    extract([VideoPlan(source, [ClipPlan(tmp_path / "a.mp4", range(3, 60, 6), 5)])])
    note = note_of(tmp_path / "a.mp4")
    assert (note["source"], note["source_fps"], note["fps"]) == ("source.mp4", "30", "5")
    assert source_frames(tmp_path / "a.mp4") == list(range(3, 60, 6))
    with pytest.raises(EgolibError, match="does not say"):
        source_frames(source)


# ------------------------------------------------------------------- running again


def _plan(source: Path, folder: Path, **changes: object) -> VideoPlan:
    return VideoPlan(
        source,
        [ClipPlan(folder / "a.mp4", range(0, 90, 6), 5, **changes),  # type: ignore[arg-type]
         ClipPlan(folder / "b.mp4", range(30, 60), 30)],
        [ImagePlan(folder / "a.jpg", 5), ImagePlan(folder / "b.png", 6)],
    )  # fmt: skip


@pytest.mark.parametrize("recheck", ["quick", "decode"])
def test_finished_targets_are_kept(recheck: str, source: Path, tmp_path: Path) -> None:
    first = extract([_plan(source, tmp_path)])
    times = {path: path.stat().st_mtime_ns for path in first.written}
    again = extract([_plan(source, tmp_path)], recheck=recheck)  # type: ignore[arg-type]
    assert (again.written, len(again.kept), len(again.skipped)) == ([], 4, 0)
    assert {path: path.stat().st_mtime_ns for path in again.kept} == times


@pytest.mark.parametrize(
    "changes",
    [{"fps": 6}, {"encoding": Encoding(crf=23)}, {"resize": Resize(90)}, {"frames": range(90)}],
)
def test_a_changed_plan_makes_its_target_again(changes: dict, source: Path, tmp_path: Path) -> None:
    extract([_plan(source, tmp_path)])
    clip = {"path": tmp_path / "a.mp4", "frames": range(0, 90, 6), "fps": 5} | changes
    plan = _plan(source, tmp_path)
    changed = VideoPlan(source, [ClipPlan(**clip), plan.clips[1]], plan.images)
    outcome = extract([changed])
    assert outcome.written == [tmp_path / "a.mp4"]
    assert len(outcome.kept) == 3


@pytest.mark.parametrize("name", ["a.mp4", "b.mp4", "a.jpg", "b.png"])
@pytest.mark.parametrize("harm", ["truncated", "foreign", "empty", "gone"])
def test_a_harmed_target_is_made_again(name: str, harm: str, source: Path, tmp_path: Path) -> None:
    extract([_plan(source, tmp_path)])
    path = tmp_path / name
    whole = path.read_bytes()
    if harm == "gone":
        path.unlink()
    elif harm == "foreign":
        path.write_bytes(source.read_bytes())
    else:
        path.write_bytes(whole[: len(whole) // 2 if harm == "truncated" else 0])
    outcome = extract([_plan(source, tmp_path)])
    assert outcome.written == [path]
    assert path.read_bytes() == whole


@pytest.mark.parametrize("name", ["a.mp4", "a.jpg", "b.png"])
def test_a_changed_byte_is_noticed_by_its_checksum(name: str, source: Path, tmp_path: Path) -> None:
    """In the middle, where neither the note nor the last frame tell."""
    extract([_plan(source, tmp_path)])
    path = tmp_path / name
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 255
    path.write_bytes(changed)
    assert extract([_plan(source, tmp_path)]).written == [path]
    assert path.read_bytes() == whole
    state = path.stat()
    path.write_bytes(changed)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))  # as a failing disk does it
    assert extract([_plan(source, tmp_path)], recheck="checksum").written == [path]


def test_a_copy_of_the_outputs_is_kept(source: Path, tmp_path: Path) -> None:
    extract([_plan(source, tmp_path)])
    for path in tmp_path.glob("*.mp4"):
        os.utime(path, ns=(0, 0))
    outcome = extract([_plan(source, tmp_path)])
    assert (outcome.written, len(outcome.kept)) == ([], 4)


def test_force_makes_everything_again(source: Path, tmp_path: Path) -> None:
    extract([_plan(source, tmp_path)])
    assert len(extract([_plan(source, tmp_path)], force=True).written) == 4


def test_plans_of_some_clips_only(source: Path, tmp_path: Path) -> None:
    clips = [ClipPlan(tmp_path / "clips" / f"{uid}.mp4", range(5), 5) for uid in ("a", "b")]
    images = [ImagePlan(tmp_path / "images" / uid / "frame_0.jpg", 0) for uid in ("a", "b")]
    plans = [
        VideoPlan(source, clips, images, stream=0),
        VideoPlan(Path("other.mp4"), [ClipPlan(tmp_path / "c.mp4")]),
    ]
    (chosen,) = only(plans, ["b"])
    assert chosen == VideoPlan(source, clips[1:], images[1:], stream=0)
    assert only(plans, ["other"]) == plans[1:]
    assert only(plans, ["source", "c"]) == plans
    with pytest.raises(EgolibError, match="did you mean other"):
        only(plans, ["a", "othre"])


def test_what_killed_runs_left_is_removed(source: Path, tmp_path: Path) -> None:
    for name in (".part-x.mp4", ".tmp-999999999-ab/y.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"half")
    with VideoWriter(tmp_path / "living.mp4", 5) as writer:
        writer.write(picture(0))
        extract([_plan(source, tmp_path)])
        assert (tmp_path / ".part-living.mp4").exists(), "its writer lives"
        assert not (tmp_path / ".part-x.mp4").exists()
        assert not (tmp_path / ".tmp-999999999-ab").exists()


def test_targets_stay_when_the_source_is_gone(source: Path, tmp_path: Path) -> None:
    extract([_plan(source, tmp_path)])
    source.unlink()
    outcome = extract([_plan(source, tmp_path)])
    assert (len(outcome.kept), len(outcome.skipped)) == (4, 0)


def test_killed_in_the_middle_and_run_again(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    code = (
        "from pathlib import Path; from egolib.video import *; import time\n"
        "import egolib.video.encode as encode\n"
        "write = encode.VideoWriter.write\n"
        "def slow(self, *rest): time.sleep(0.02); write(self, *rest)\n"
        "encode.VideoWriter.write = slow\n"
        f"source, folder = Path({str(source)!r}), Path({str(folder)!r})\n"
        "extract([VideoPlan(source, [ClipPlan(folder / f'{i}.mp4', range(40 * i, 40 * i + 40), 30)"
        " for i in range(5)])])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while not (folder / "1.mp4").exists() or not list(folder.glob(".part-*")):
        assert time.monotonic() < deadline
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = {path: path.read_bytes() for path in folder.glob("[0-9].mp4")}
    assert 2 <= len(finished) < 5
    assert list(folder.glob(".part-*"))
    clips = [ClipPlan(folder / f"{i}.mp4", range(40 * i, 40 * i + 40), 30) for i in range(5)]
    outcome = extract([VideoPlan(source, clips)])
    assert set(outcome.kept) == set(finished)
    assert len(outcome.written) == 5 - len(finished)
    assert _files(folder) == {f"{i}.mp4" for i in range(5)}
    for i in range(5):
        assert _shown(folder / f"{i}.mp4") == list(range(40 * i, 40 * i + 40))
    assert all(path.read_bytes() == content for path, content in finished.items())


# ------------------------------------------------------------------- what cannot be made


def test_frames_that_the_source_does_not_have(source: Path, tmp_path: Path) -> None:
    plan = VideoPlan(
        source,
        [ClipPlan(tmp_path / "long.mp4", range(150, 260), 30),
         ClipPlan(tmp_path / "fine.mp4", range(150, 200), 30, encoding=FAST),
         ClipPlan(tmp_path / "none.mp4", [], 30)],
        [ImagePlan(tmp_path / "late.jpg", 200), ImagePlan(tmp_path / "early.jpg", -1)],
    )  # fmt: skip
    outcome = extract([plan])
    assert outcome.written == [tmp_path / "fine.mp4"]
    reasons = {Path(path).name: reason for path, reason in outcome.skipped.reasons.items()}
    assert set(reasons) == {"long.mp4", "none.mp4", "late.jpg", "early.jpg"}
    assert "source frame 200 does not exist: the source has 200 frames" in reasons["long.mp4"]
    assert _files(tmp_path) == {"in/source.mp4", "fine.mp4"}


@pytest.mark.parametrize("workers", [1, 2])
def test_bad_sources_are_listed_and_the_others_made(
    workers: int, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.mp4").write_text("no video" * 100)
    whole = source.read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
    names = ["in/source.mp4", "text.mp4", "half.mp4", "missing.mp4"]
    plans = [
        VideoPlan(
            tmp_path / name,
            [ClipPlan(tmp_path / f"out/{i}.mp4", range(9), 5, encoding=FAST)],
            [ImagePlan(tmp_path / f"out/{i}.jpg", 3)],
        )
        for i, name in enumerate(names)
    ]
    outcome = extract(plans, workers=workers)
    assert set(outcome.written) == {tmp_path / "out/0.mp4", tmp_path / "out/0.jpg"}
    reasons = outcome.skipped.reasons
    assert len(reasons) == 9
    assert "not a readable video" in reasons[str(tmp_path / "text.mp4")]
    assert "truncated" in reasons[str(tmp_path / "half.mp4")]
    assert "does not exist" in reasons[str(tmp_path / "missing.mp4")]
    assert "truncated" in reasons[str(tmp_path / "out/2.mp4")]
    assert _files(tmp_path / "out") == {"0.mp4", "0.jpg"}
    assert "2 written, 0 kept, 9 skipped" in outcome.summary()


def test_a_truncated_source_gives_what_lies_before_its_end(tmp_path: Path) -> None:
    source = tmp_path / "source.mkv"
    encode(source, range(200))
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    plan = VideoPlan(
        source,
        [ClipPlan(tmp_path / "early.mp4", range(60), 30, encoding=FAST),
         ClipPlan(tmp_path / "across.mp4", range(60, 190), 30, encoding=FAST),
         ClipPlan(tmp_path / "all.mp4", encoding=FAST)],
        [ImagePlan(tmp_path / "early.jpg", 10), ImagePlan(tmp_path / "late.jpg", 199)],
    )  # fmt: skip
    outcome = extract([plan])
    assert set(outcome.written) == {tmp_path / "early.mp4", tmp_path / "early.jpg"}
    assert _shown(tmp_path / "early.mp4") == list(range(60))
    reasons = outcome.skipped.reasons
    assert "it states" in reasons[str(source)]
    for name in ("across.mp4", "all.mp4", "late.jpg"):
        assert "truncated" in reasons[str(tmp_path / name)]
    assert _files(tmp_path) == {"source.mkv", "early.mp4", "early.jpg"}


def test_a_damaged_stretch_costs_only_its_own_targets(source: Path, tmp_path: Path) -> None:
    damaged = damage(source, 60, 90)
    plan = VideoPlan(
        source,
        [ClipPlan(tmp_path / "before.mp4", range(50), 30, encoding=FAST),
         ClipPlan(tmp_path / "across.mp4", range(40, 120), 30, encoding=FAST),
         ClipPlan(tmp_path / "after.mp4", range(100, 200), 30, encoding=FAST)],
        [ImagePlan(tmp_path / "a.png", damaged), ImagePlan(tmp_path / "b.png", 150)],
    )  # fmt: skip
    outcome = extract([plan])
    assert {path.name for path in outcome.written} == {"before.mp4", "after.mp4", "b.png"}
    reasons = {Path(path).name: reason for path, reason in outcome.skipped.reasons.items()}
    assert set(reasons) == {"across.mp4", "a.png"}
    assert all(reason.startswith("source frame ") for reason in reasons.values())
    assert _files(tmp_path) == {"in/source.mp4", "before.mp4", "after.mp4", "b.png"}


def test_a_full_disk_is_a_listed_failure(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("egolib.video.encode.VideoWriter.write", full)
    outcome = extract([_plan(source, tmp_path)])
    assert {path.name for path in outcome.written} == {"a.jpg", "b.png"}
    assert "No space left" in outcome.skipped.reasons[str(tmp_path / "a.mp4")]
    assert _files(tmp_path) == {"in/source.mp4", "a.jpg", "b.png"}


def test_a_dying_process_costs_only_its_video(source: Path, tmp_path: Path) -> None:
    """The worker that meets the marked source ends at once, as a crash in a decoder does."""
    plans = [
        VideoPlan(source, [ClipPlan(tmp_path / f"{i}.mp4", range(20), 5, encoding=FAST)])
        for i in range(3)
    ]
    plans.insert(1, VideoPlan(Deadly(tmp_path / "deadly.mp4"), [ClipPlan(tmp_path / "x.mp4")]))
    outcome = extract(plans, workers=2)
    assert {path.name for path in outcome.written} == {"0.mp4", "1.mp4", "2.mp4"}
    assert set(outcome.skipped.reasons) == {
        str(tmp_path / "deadly.mp4"),
        str(tmp_path / "x.mp4"),
    }
    assert all("died" in reason for reason in outcome.skipped.reasons.values())


class Deadly(type(Path())):  # type: ignore[misc]
    """A path whose arrival in another process ends that process."""

    def __reduce__(self) -> tuple:
        return os._exit, (9,)


@pytest.mark.parametrize(
    ("clip", "reason"),
    [
        (ClipPlan(Path("a.mp4"), [3, 2], 5), "ascend"),
        (ClipPlan(Path("a.mp4"), range(5, 0, -1), 5), "ascend"),
        (ClipPlan(Path("a.mkv"), range(5), 5), r"\.mp4"),
        (ClipPlan(Path("a.mp4"), range(5), 5, audio="copy"), "sound"),
        (ImagePlan(Path("a.gif"), 0), "jpg"),
    ],
)
def test_plans_that_contradict_themselves(clip: ClipPlan | ImagePlan, reason: str) -> None:
    plan = VideoPlan(Path("source.mp4"), [clip])  # type: ignore[list-item]
    with pytest.raises(EgolibError, match=reason):
        extract([plan])


def test_two_plans_for_one_file() -> None:
    clip = ClipPlan(Path("a.mp4"), range(5), 5)
    with pytest.raises(EgolibError, match="two plans"):
        extract([VideoPlan(Path("x.mp4"), [clip]), VideoPlan(Path("y.mp4"), [clip])])


def test_nothing_to_do() -> None:
    assert extract([]).summary() == "0 written, 0 kept, nothing was skipped"
