"""COCO's box AP for detections of many frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from egolib.metrics.detection import Boxes

COCO_NAMES = ("bbox_mAP", "bbox_mAP_50", "bbox_mAP_75", "bbox_mAP_s", "bbox_mAP_m", "bbox_mAP_l")


def evaluate_coco(
    truth: Boxes,
    predicted: Boxes,
    sizes: Sequence[tuple[int, int]],
    class_names: Sequence[str],
    truth_xywh: np.ndarray | None = None,
    truth_area: np.ndarray | None = None,
    class_wise: bool = False,
) -> dict[str, float]:
    """COCO's box AP over IoU .50:.95, at most 100 detections a frame.

    Args:
        sizes: (height, width) of every frame.
        truth_xywh, truth_area: annotated boxes (A, 4) and areas (A,), where they differ
            from what ``truth`` gives in float32.
        class_wise: add ``AP/<class>`` entries.

    Returns:
        Official names; -1 for a size without truths.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    boxes = _xywh(truth.box.astype(np.float64)) if truth_xywh is None else truth_xywh
    areas = boxes[:, 2] * boxes[:, 3] if truth_area is None else truth_area
    content = {
        "info": {},
        "images": [{"id": i + 1, "height": h, "width": w} for i, (h, w) in enumerate(sizes)],
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(class_names)],
        "annotations": [
            {
                "id": i + 1,
                "image_id": int(truth.frame[i]) + 1,
                "category_id": int(truth.label[i]) + 1,
                "bbox": boxes[i].tolist(),
                "area": float(areas[i]),
                "iscrowd": 0,
            }
            for i in range(len(truth))
        ],
    }
    if not len(predicted):
        return dict.fromkeys(COCO_NAMES, 0.0 if len(truth) else -1.0)
    truth_set = COCO(content)
    rows = np.column_stack(
        [predicted.frame + 1, _xywh(predicted.box), predicted.score, predicted.label + 1]
    ).astype(np.float64)
    evaluation = COCOeval_faster(truth_set, truth_set.loadRes(rows), "bbox", print_function=_quiet)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    result = dict(zip(COCO_NAMES, (float(v) for v in evaluation.stats[:6])))
    if class_wise:
        precision = evaluation.eval["precision"][:, :, :, 0, -1]  # (IoU, recall, K)
        for k, name in enumerate(class_names):
            values = precision[:, :, k]
            known = values[values > -1]
            result[f"AP/{name}"] = float(known.mean()) if len(known) else float("nan")
    return result


def _xywh(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def _quiet(*_: object) -> None:
    """Swallows the library's prints."""
