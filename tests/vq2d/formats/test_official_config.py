"""detectron2's configuration files, read as plain YAML."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from egolib.errors import EgolibError
from egolib.vq2d.config import DetectConfig, siam_rcnn
from egolib.vq2d.formats.official_config import read_official_config

PUBLISHED = {
    "MODEL": {
        "META_ARCHITECTURE": "SiameseRCNN",
        "MASK_ON": True,
        "BACKBONE": {"NAME": "build_resnet_fpn_backbone", "FREEZE_AT": 2},
        "RESNETS": {"DEPTH": 50, "NORM": "FrozenBN", "STRIDE_IN_1X1": True},
        "ANCHOR_GENERATOR": {
            "SIZES": [[32], [64], [128], [256], [512]],
            "ASPECT_RATIOS": [[0.5, 1.0, 2.0]],
        },
        "RPN": {"PRE_NMS_TOPK_TEST": 1000, "POST_NMS_TOPK_TEST": 1000, "NMS_THRESH": 0.7},
        "ROI_HEADS": {"NAME": "SiameseROIHeads", "SCORE_THRESH_TEST": 0.05},
        "ROI_SIAMESE_HEAD": {
            "PROJECTOR_TYPE": "residual",
            "N_RESIDUAL_LAYERS": 4,
            "IN_FEATURES": ["p3"],
            "SHARE_PROJECTION": True,
            "HIDDEN_SIZE": 1024,
        },
    },
    "SOLVER": {"STEPS": "(200000, 400000)"},
    "TEST": {"DETECTIONS_PER_IMAGE": 10},
    "INPUT": {"MIN_SIZE_TEST": 800, "FORMAT": "RGB"},
}


def write(folder: Path, content: dict, name: str = "config.yaml") -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(content))
    return path


def changed(dotted: str, value: object) -> dict:
    content = yaml.safe_load(yaml.safe_dump(PUBLISHED))
    *parents, last = dotted.split(".")
    place = content
    for parent in parents:
        place = place[parent]
    place[last] = value
    return content


def test_the_published_file(tmp_path: Path) -> None:
    found = read_official_config(write(tmp_path, PUBLISHED))
    assert found.detector == siam_rcnn() and found.detect == DetectConfig()
    assert found.unknown == ()


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    assert read_official_config(write(tmp_path, {})).detector == siam_rcnn()


def test_values_are_taken_over(tmp_path: Path) -> None:
    content = changed("MODEL.RPN.POST_NMS_TOPK_TEST", 300)
    content["MODEL"]["PIXEL_MEAN"] = "(1.0, 2.0, 3.0)"
    content["MODEL"]["ROI_HEADS"]["NAME"] = "SetTransROIHeads"
    content["MODEL"]["ROI_SIAMESE_HEAD"] |= {"COMPARE_TYPE": "att", "TRANS_TYPE": "isab"}
    found = read_official_config(write(tmp_path, content))
    detector = found.detector
    assert found.detect.proposals.after == 300 and detector.pixel_mean == (1.0, 2.0, 3.0)
    head = detector.head
    assert (head.kind, head.compare, head.transformer) == ("set", "att", "isab")


def test_a_base_file_is_read_first(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"TEST": {"DETECTIONS_PER_IMAGE": 5}, "INPUT": {"MIN_SIZE_TEST": 600}},
        "base.yaml",
    )
    path = write(tmp_path, {"_BASE_": "base.yaml", "INPUT": {"MIN_SIZE_TEST": 700}})
    detect = read_official_config(path).detect
    assert (detect.limit, detect.short_side) == (5, 700)


def test_unknown_names_are_listed(tmp_path: Path) -> None:
    content = changed("MODEL.RPN.NEW_TRICK", 1)
    content["MODEL"]["ROI_SIAMESE_HEAD"]["OTHER"] = 2
    found = read_official_config(write(tmp_path, content))
    assert found.unknown == ("MODEL.ROI_SIAMESE_HEAD.OTHER", "MODEL.RPN.NEW_TRICK")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("MODEL.META_ARCHITECTURE", "GeneralizedRCNN", "META_ARCHITECTURE"),
        ("MODEL.RESNETS.NORM", "SyncBN", "NORM"),
        ("MODEL.RESNETS.DEPTH", 18, "depth 18"),
        ("MODEL.ROI_HEADS.NAME", "StandardROIHeads", "StandardROIHeads"),
        ("MODEL.ROI_SIAMESE_HEAD.IN_FEATURES", ["p2", "p3"], "IN_FEATURES"),
    ],
)
def test_networks_that_are_not_built(tmp_path: Path, name: str, value, message: str) -> None:
    with pytest.raises(EgolibError, match=message):
        read_official_config(write(tmp_path, changed(name, value)))
