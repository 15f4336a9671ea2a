"""List files: where they lie and what their columns mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from egolib.errors import EgolibError
from egolib.io.records import write_text
from egolib.vod.data.lists import find_list, read_images, read_videos


def test_lists_is_preferred_to_imagesets_and_an_option_to_both(tmp_path: Path):
    for folder in ("ImageSets", "Lists", "other"):
        write_text(tmp_path / folder / "VID_val_videos.txt", "a 1 0 1\n")
        found = find_list(tmp_path, "VID_val_videos")
        assert found.parent.name == ("ImageSets" if folder == "ImageSets" else "Lists")
    assert find_list(tmp_path, "VID_val_videos", tmp_path / "other").parent.name == "other"


def test_a_list_directly_in_the_folder_or_below_vid(tmp_path: Path):
    write_text(tmp_path / "here.txt", "")
    write_text(tmp_path / "ImageSets/VID/there.txt", "")
    assert find_list(tmp_path, "here").is_file() and find_list(tmp_path, "there").is_file()
    with pytest.raises(EgolibError, match="was not found"):
        find_list(tmp_path, "nowhere")


def test_videos_keep_their_order_and_gather_frames(tmp_path: Path):
    path = write_text(tmp_path / "x.txt", "b 1 10 300\nb 1 30 300\n\na  1 0   7\nb 1 50 300\n")
    videos = read_videos(path)
    assert [(v.name, v.frames, v.listed) for v in videos] == [
        ("b", 300, [10, 30, 50]),
        ("a", 7, [0]),
    ]
    with pytest.raises(EgolibError, match="the list is empty"):
        read_videos(write_text(tmp_path / "empty.txt", ""))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 1 2\n", "line 1.*4 columns"),
        ("a 1 x 3\n", "line 1.*whole number"),
        ("a 1 0 3\na 1 1 4\n", "line 2.*two lengths"),
    ],
)
def test_wrong_lines_are_named(tmp_path: Path, text: str, message: str):
    path = write_text(tmp_path / "x.txt", text)
    with pytest.raises(EgolibError, match=f"(?s){message}"):
        read_videos(path)


def test_images(tmp_path: Path):
    path = write_text(tmp_path / "x.txt", "train/a 1\ntrain/b 1\n")
    assert read_images(path) == ["train/a", "train/b"]
