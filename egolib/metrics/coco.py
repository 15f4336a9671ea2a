"""COCO's box AP for detections of many frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from egolib.metrics.detection import Boxes
from egolib.ops.boxes_numpy import to_xywh

COCO_NAMES = ("bbox_mAP", "bbox_mAP_50", "bbox_mAP_75", "bbox_mAP_s", "bbox_mAP_m", "bbox_mAP_l")


def evaluate_coco(
    truth: Boxes,
    predicted: Boxes,
    sizes: Sequence[tuple[int, int]],
    class_names: Sequence[str] = ("object",),
    truth_xywh: np.ndarray | None = None,
    truth_area: np.ndarray | None = None,
    truth_crowd: np.ndarray | None = None,
    class_wise: bool = False,
) -> dict[str, float]:
    """COCO's box AP over IoU .50:.95, at most 100 detections a frame.

    Args:
        truth: true boxes; ``frame`` counts the entries of ``sizes``.
        predicted: boxes with scores.
        sizes: (height, width) of every frame; frames without boxes count too.
        class_names: names of the labels.
        truth_xywh: (A, 4) float64 annotated boxes, where they differ from what ``truth``
            gives in float32.
        truth_area: (A,) annotated areas, which decide the size that a truth belongs to;
            None for width times height.
        truth_crowd: (A,) bool: crowds, whose detections do not count; None for none.
        class_wise: add ``AP/<class>`` entries, NaN for a class without truths.

    Returns:
        Official names; fractions, -1 for a size without truths.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    boxes = to_xywh(truth.box.astype(np.float64)) if truth_xywh is None else truth_xywh
    areas = boxes[:, 2] * boxes[:, 3] if truth_area is None else truth_area
    truth_set = COCO(_content(truth, boxes, areas, sizes, class_names, truth_crowd))
    table = [predicted.frame + 1, to_xywh(predicted.box), predicted.score, predicted.label + 1]
    if len(predicted):
        found = truth_set.loadRes(np.column_stack(table).astype(np.float64))
    else:  # the library reads no empty table
        found = COCO(truth_set.dataset | {"annotations": []})
    evaluation = COCOeval_faster(truth_set, found, "bbox", print_function=_quiet)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    result = dict(zip(COCO_NAMES, (float(v) for v in evaluation.stats[:6]), strict=True))
    return result | (_by_class(evaluation, class_names) if class_wise else {})


def _content(
    truth: Boxes,
    boxes_xywh: np.ndarray,
    areas: np.ndarray,
    sizes: Sequence[tuple[int, int]],
    class_names: Sequence[str],
    crowd: np.ndarray | None,
) -> dict[str, Any]:
    """True boxes in COCO's layout, whose numbers count from 1."""
    crowds = np.zeros(len(truth.frame), bool) if crowd is None else crowd
    rows = zip(truth.frame, truth.label, boxes_xywh, areas, crowds, strict=True)
    return {
        "info": {},
        "images": [{"id": i, "height": h, "width": w} for i, (h, w) in enumerate(sizes, start=1)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(class_names, start=1)],
        "annotations": [
            {
                "id": i,
                "image_id": int(frame) + 1,
                "category_id": int(label) + 1,
                "bbox": box.tolist(),
                "area": float(area),
                "iscrowd": int(crowd),
            }
            for i, (frame, label, box, area, crowd) in enumerate(rows, start=1)
        ],
    }


def _by_class(evaluation: Any, class_names: Sequence[str]) -> dict[str, float]:
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # (IoU, recall, K)
    result = {}
    for k, name in enumerate(class_names):
        values = precision[:, :, k]
        known = values[values > -1]
        result[f"AP/{name}"] = float(known.mean()) if len(known) else float("nan")
    return result


def _quiet(*_: object) -> None:
    """Swallows the library's prints."""
