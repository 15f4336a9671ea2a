"""Sub-modules of KYS: activations 1e-4 relative to the largest, filters and gradients 1e-3."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.vq2d.config import KysConfig
from egolib.vq2d.formats import checkpoint
from egolib.vq2d.tracking.kys.classifier import apply_filter
from egolib.vq2d.tracking.kys.correlation import absolute_positions, correlation, cost_volume
from egolib.vq2d.tracking.kys.network import KysNetwork, Maps
from egolib.vq2d.tracking.kys.patches import blur, cut_patch, flip, rotate, shift_crop
from egolib.vq2d.tracking.kys.pooling import precise_roi_pool
from egolib.vq2d.tracking.kys.predictor import translate
from egolib.vq2d.tracking.kys.tracker import hann_window
from tests.parity.recordings import read
from tests.parity.vq2d.networks import check_map, kys_network, kys_state, relative

pytestmark = pytest.mark.xdist_group("kys")


class Units:
    """A recording, its network and the backbone maps of its two images."""

    def __init__(self, recording: Path, device: str):
        self.case = read(recording)
        self.device = device
        self.network = kys_network(recording, int(self.case["seed"]), device)

    def tensor(self, name: str) -> torch.Tensor:
        return torch.from_numpy(self.case[name]).to(self.device)

    @property
    def maps(self) -> Maps:
        with torch.no_grad():
            return self.network.maps(self.tensor("images_rgb").float().permute(0, 3, 1, 2))

    def features(self) -> torch.Tensor:
        with torch.no_grad():
            return self.network.classifier.features(self.maps.deep)


@pytest.fixture
def units(recording: Path, device: str) -> Units:
    return Units(recording, device)


@pytest.mark.recordings("kys_units")
def test_keys_both_ways(recording: Path) -> None:
    """The official layout loads strictly and comes back unchanged."""
    state = kys_state(recording, 1)
    network = KysNetwork(KysConfig())
    assert checkpoint.KYS.load(network, state).complete
    back = checkpoint.KYS.to_official(network.state_dict())
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)


@pytest.mark.recordings("kys_units")
def test_initial_values(recording: Path) -> None:
    """A fresh filter optimiser starts at the published functions of distance."""
    case = read(recording)
    fresh = checkpoint.KYS.to_official(KysNetwork(KysConfig()).state_dict())
    names = [name.removeprefix("init_") for name in case if name.startswith("init_")]
    assert len(names) == 5
    for name in names:
        found = fresh[f"dimp_classifier.filter_optimizer.{name}"]
        assert relative(found, case[f"init_{name}"]) < 1e-6


@pytest.mark.recordings("kys_units")
def test_backbone_and_classifier_features(recording: Path, units: Units) -> None:
    check_map(units.maps.shallow, units.case, "bb_layer2", (32, 4, 4))
    check_map(units.maps.deep, units.case, "bb_layer3", (32, 4, 4))
    check_map(units.features(), units.case, "clf", (32, 3, 3))


@pytest.mark.recordings("kys_units")
@torch.no_grad()
def test_filter(recording: Path, units: Units) -> None:
    case, features, boxes = units.case, units.features(), units.tensor("bb")
    first = units.network.classifier.initialiser(features, boxes)
    optimise = units.network.classifier.optimiser
    assert relative(first[:, ::8], case["filter_init_sub"]) < 1e-3
    for iterations in (1, 3, 10):
        fit = optimise(first, features, boxes, iterations)
        assert relative(fit.weight[:, ::8], case[f"filter_iter{iterations}_sub"]) < 1e-3
        losses = torch.stack(fit.losses)
        assert relative(losses, case[f"filter_iter{iterations}_losses"]) < 1e-3
    assert relative(apply_filter(features, fit.weight), case["scores"]) < 1e-3
    weighted = optimise(first, features, boxes, 2, units.tensor("sample_weight"))
    assert relative(weighted.weight[:, ::8], case["filter_weighted_sub"]) < 1e-3


@pytest.mark.recordings("kys_units")
def test_correlation(recording: Path, units: Units) -> None:
    """The official order of work and the matrix product, on a small pair and on the maps."""
    a, b = units.tensor("corr_a"), units.tensor("corr_b")
    by_displacement = correlation(a, b, 3, 5)
    assert relative(by_displacement, units.case["corr_out"]) < 1e-4
    remapped = units.case["corr_remap"]
    assert relative(absolute_positions(by_displacement), remapped) < 1e-4
    assert relative(cost_volume(a, b, 3, 2).reshape(remapped.shape), remapped) < 1e-4
    deep = units.maps.deep
    volume = cost_volume(deep[1:], deep[:1])
    side = deep.shape[-1]
    check_map(volume.reshape(side, side, side, side), units.case, "cost_volume", (3, 3, 3, 3))


@pytest.mark.recordings("kys_units")
@torch.no_grad()
def test_predictor(recording: Path, units: Units) -> None:
    case, predictor = units.case, units.network.predictor
    deep, score = units.maps.deep, units.tensor("pred_dimp_score")
    window = units.tensor("pred_window")
    state = predictor.start(units.tensor("pred_label_prev"))
    one = predictor(deep[1:], deep[:1], score, state, window)
    for name, found in (
        ("resp1", one.response),
        ("state1", one.state),
        ("fused_orig1", one.fused),
        ("prop_conf1", one.confidence),
        ("prop_h1", one.carried),
        ("resp1_is_target", predictor.target_logits(state)),
    ):
        assert relative(found, case[name]) < 1e-4, name
    two = predictor(deep[:1], deep[1:], score, one.state, window)
    assert relative(two.response, case["resp2"]) < 1e-4
    assert relative(two.state, case["state2"]) < 1e-4


@pytest.mark.recordings("kys_units")
def test_shifts_and_window(recording: Path, units: Units) -> None:
    case, maps = units.case, units.tensor("shift_in")
    moved = translate(maps, units.tensor("shift_vec"))
    assert relative(moved, case["shift_out"]) < 1e-4
    x, y, width, height = case["center_anno"]
    cells = maps.shape[-1]
    middle = np.array([x + width / 2, y + height / 2]) / 16
    shift = torch.tensor(2 * (middle - cells / 2) / cells, dtype=torch.float32)[None]
    assert relative(translate(maps, shift.to(maps)), case["center_out"]) < 1e-4
    window = hann_window(case["hann_clipped"].shape[-1] - 1)
    np.testing.assert_allclose(window, case["hann_clipped"][..., :-1, :-1], atol=1e-6)


@pytest.mark.recordings("kys_units")
def test_iou_net(recording: Path, units: Units) -> None:
    case, net, maps = units.case, units.network.iou_net, units.maps
    with torch.no_grad():
        modulation = net.modulation(maps.shallow[:1], maps.deep[:1], units.tensor("bb")[:1])
        features = net.features(maps.shallow[1:], maps.deep[1:])
        weighted = net.weighted(modulation, maps.shallow[1:], maps.deep[1:])
    assert relative(modulation[0], case["iou_mod3"]) < 1e-4
    assert relative(modulation[1], case["iou_mod4"]) < 1e-4
    check_map(features[0], case, "iou_feat3", (16, 4, 4))
    check_map(features[1], case, "iou_feat4", (16, 3, 3))
    boxes = units.tensor("iou_boxes").requires_grad_()
    iou = net(weighted, boxes)
    assert relative(iou, case["iou_pred"]) < 1e-4
    (gradient,) = torch.autograd.grad(iou.sum(), boxes)
    assert relative(gradient, case["iou_grad"]) < 1e-3


@pytest.mark.recordings("kys_units")
def test_precise_roi_pooling(recording: Path, units: Units) -> None:
    features, rois = units.tensor("prroi_feat"), units.tensor("prroi_rois")
    for name in [name for name in units.case if name.startswith("prroi_") and name[6:].isdigit()]:
        bins = int(name.removeprefix("prroi_"))
        scale = 1 / 16 if bins == 1 else 1 / 8
        pooled = [
            precise_roi_pool(features[int(roi[0]), None], roi[None, None, 1:], bins, scale)[0, 0]
            for roi in rois
        ]
        assert relative(torch.stack(pooled), units.case[name]) < 1e-4


@pytest.mark.recordings("kys_units")
def test_patches(recording: Path) -> None:
    case = read(recording)
    names = [name.removesuffix("_args") for name in case if name.endswith("_args")]
    assert names
    for name in names:
        row, column, height, width, *output = case[f"{name}_args"].tolist()
        size = (int(output[0]), int(output[1]))
        patch = cut_patch(case["patch_image"], (row, column), (height, width), size)
        assert list(patch.corners) == case[f"{name}_coord"][0].tolist()
        np.testing.assert_allclose(patch.image[:, ::4, ::4], case[f"{name}_out"], atol=1e-4)
        assert patch.image.double().sum().item() == pytest.approx(float(case[f"{name}_sum"]))


CHANGES = {
    "identity": lambda image: image,
    "shift": lambda image: image,
    "flip": flip,
    "blur31": lambda image: blur(image, (3, 1)),
    "blur22": lambda image: blur(image, (2, 2)),
    "rot10": lambda image: rotate(image, 10),
    "rot-45": lambda image: rotate(image, -45),
}


@pytest.mark.recordings("kys_units")
@pytest.mark.parametrize("name", list(CHANGES))
def test_augmentations(recording: Path, name: str) -> None:
    case = read(recording)
    patch = cut_patch(case["patch_image"], (60, 80), (128, 128), (128, 128)).image
    assert patch.double().sum().item() == pytest.approx(float(case["aug_in_sum"]))
    down, right = case[f"aug_{name}_shift"].tolist()
    found = shift_crop(CHANGES[name](patch), (down, right), (64, 64))
    tolerance = 2e-3 if name.startswith("rot") else 1e-4
    np.testing.assert_allclose(found[:, ::3, ::3], case[f"aug_{name}"], atol=tolerance)
    assert found.double().sum().item() == pytest.approx(float(case[f"aug_{name}_sum"]), rel=1e-5)
