"""The bridge to detectron2 (``make bridge-detectron2``): equal trunks, configurations, registry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from egolib.errors import EgolibError
from egolib.interop.detectron2 import node_of, read_config, register, settings_of, trunk
from egolib.nn.config import ResNetConfig
from egolib.vq2d.config import DetectorConfig, HeadConfig, siam_rcnn, small
from egolib.vq2d.formats.checkpoint import siamese_table
from egolib.vq2d.models.model import SiameseRcnn

pytest.importorskip("detectron2", reason="detectron2 is not installed: make bridge-detectron2")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("detectron2")]


def with_random_weights(cfg: DetectorConfig) -> SiameseRcnn:
    """Weights and frozen statistics that keep values in range and scores apart."""
    generator = torch.Generator().manual_seed(0)
    model = SiameseRcnn(cfg, weights="kaiming").eval()
    for name, value in model.state_dict().items():
        noise = torch.randn(value.shape, generator=generator)
        if value.dim() == 4 and name.startswith(("pyramid.", "proposals.")):
            size = 1e-4 if "lateral" in name else 1.0  # the backbone's values are that large
            value.copy_(size * noise / value[0].numel() ** 0.5)
        elif "norm" in name:
            base = 1.0 if name.endswith(("weight", "var")) else 0.0
            value.copy_((base + 0.1 * noise).clamp(min=0.1 * base) if base else 0.1 * noise)
    return model


def narrow() -> DetectorConfig:
    """A ResNet-50 with eight channels instead of 64."""
    published = siam_rcnn()
    backbone = ResNetConfig(
        blocks=(3, 4, 6, 3),
        stem_channels=8,
        width=8,
        stride_in="1x1",
        norm_trainable=False,
        freeze="none",
    )
    pyramid = replace(published.pyramid, channels=16)
    head = replace(published.head, hidden=16, residual_layers=1)
    return replace(published, backbone=backbone, pyramid=pyramid, head=head, region_cells=4)


@pytest.mark.parametrize("builder", [siam_rcnn, narrow])
@torch.no_grad()
def test_backbone_pyramid_and_proposals_are_equal(builder):
    from detectron2.structures import ImageList

    model = with_random_weights(builder())
    theirs = trunk(model)
    generator = torch.Generator().manual_seed(1)
    sizes = [(112, 160), (128, 150)]
    frames = [torch.randint(0, 256, (3, *s), generator=generator).float() for s in sizes]
    batch = model.batch(frames)
    normal = [(frame - theirs.pixel_mean) / theirs.pixel_std for frame in frames]
    images = ImageList.from_tensors(normal, theirs.backbone.size_divisibility)
    torch.testing.assert_close(images.tensor, batch.images, rtol=0, atol=0)
    assert [tuple(s) for s in images.image_sizes] == batch.sizes == sizes
    inside = theirs.backbone.bottom_up(batch.images)
    for name, ours in zip(
        ("res2", "res3", "res4", "res5"), model.backbone(batch.images), strict=False
    ):
        close(ours, inside[name])
    maps, features = model.maps(batch.images), theirs.backbone(batch.images)
    for level, ours in enumerate(maps):
        close(ours, features[f"p{level + 2}"])
    levels = list(features.values())
    logits, offsets = theirs.proposal_generator.rpn_head(levels)
    predicted = model.proposals(maps)
    for ours, wanted in zip(
        [*predicted.logits, *predicted.offsets], [*logits, *offsets], strict=False
    ):
        close(ours, wanted)
    wanted, _ = theirs.proposal_generator(images, features)
    for ours, expected in zip(model.propose(maps, batch.sizes), wanted, strict=False):
        assert len(ours.boxes) == len(expected) > 100
        close(ours.scores, expected.objectness_logits)
        close(ours.boxes, expected.proposal_boxes.tensor)


def close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Equal within 1e-5 of the largest value."""
    scale = float(theirs.abs().max())
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * max(scale, 1.0))


@pytest.mark.parametrize(
    "cfg",
    [siam_rcnn(), narrow(), replace(siam_rcnn(), head=HeadConfig(kind="set", tokens=16))],
    ids=["published", "narrow", "set head"],
)
def test_settings_go_to_detectron2_and_back(cfg: DetectorConfig):
    found = settings_of(node_of(cfg))
    assert found.detector == cfg
    assert found.unknown == ()


def test_a_configuration_of_the_zoo():
    found = read_config("COCO-Detection/faster_rcnn_R_101_FPN_3x.yaml").detector
    assert found.backbone.blocks == (3, 4, 23, 3)
    assert found.rpn.anchors.sizes == ((32.0,), (64.0,), (128.0,), (256.0,), (512.0,))
    with pytest.raises(EgolibError, match="zoo"):
        read_config("COCO-Detection/no_such.yaml")


def test_a_file_with_a_base(tmp_path: Path):
    from detectron2 import model_zoo

    base = model_zoo.get_config_file("COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml")
    path = tmp_path / "siamese.yaml"
    path.write_text(
        f"_BASE_: {base}\nMODEL:\n  META_ARCHITECTURE: SiameseRCNN\n"
        "  ROI_SIAMESE_HEAD:\n    HIDDEN_SIZE: 512\nINPUT:\n  REFERENCE_SIZE: 128\n"
    )
    found = read_config(path).detector
    assert (found.head.hidden, found.reference_side) == (512, 128)


def test_networks_that_detectron2_lacks_are_refused():
    with pytest.raises(EgolibError, match="no ResNet"):
        node_of(small())


def made_inputs(count: int = 2) -> list[dict]:
    """Images with a box and a reference each."""
    from detectron2.structures import Boxes, Instances

    generator = torch.Generator().manual_seed(2)
    inputs = []
    for _ in range(count):
        instances = Instances((96, 128))
        instances.gt_boxes = Boxes(torch.tensor([[10.0, 12, 60, 70]]))
        image = torch.randint(0, 256, (3, 96, 128), generator=generator)
        reference = torch.randint(0, 256, (3, 64, 64), generator=generator)
        one = {"image": image, "reference": reference, "instances": instances}
        inputs.append({**one, "height": 48, "width": 64})
    return inputs


def test_our_network_detects_and_trains_as_a_meta_architecture():
    from detectron2.modeling import build_model

    register()
    torch.manual_seed(0)
    model = build_model(node_of(narrow()))
    ours = with_random_weights(narrow())
    model.network.load_state_dict(ours.state_dict())
    inputs = made_inputs()
    found = model.eval()(inputs)
    batch = ours.batch([inputs[0]["image"]])
    with torch.no_grad():
        (regions,) = ours.regions(batch)
        encoded = ours.encode(inputs[0]["reference"][None])
        ((boxes, scores),) = ours.detect(regions, encoded, (96, 128), (48, 64))
    assert len(found) == 2 and 0 < len(scores) <= 10
    torch.testing.assert_close(found[0]["instances"].pred_boxes.tensor, boxes)
    torch.testing.assert_close(found[0]["instances"].scores, scores)
    losses = model.train()(inputs)
    assert set(losses) >= {"loss_comparison"}
    torch.stack(list(losses.values())).sum().backward()
    gradients = [p.grad for p in model.network.head.parameters()]
    assert any(g is not None and g.abs().sum() > 0 for g in gradients)


def test_the_official_names_are_those_of_detectron2():
    model = with_random_weights(narrow())
    theirs = set(trunk(model).state_dict())
    official = siamese_table(model.cfg).to_official(model.state_dict())
    assert {name for name in official if not name.startswith("roi_heads.")} == theirs
