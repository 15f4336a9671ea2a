"""Published variants of nlq resolve to their published values, and load their published starts."""

from __future__ import annotations

import pytest
import torch

from egolib import config as configs
from egolib.io.records import read_json
from egolib.nlq.config import Config, groundnlq, groundnlq_star
from egolib.nlq.models.network import GroundNLQ
from egolib.nlq.optim import HEADS, load_initial
from tests.paper.compare import compare, read_table
from tests.parity.recordings import DEFAULT
from tests.parity.weights import make_state_dict

TABLE = read_table("nlq")
CONTROLS = {"features_random", "features_vlp", "vlp_states", "osgnet_like"}  # published by nobody


SPANS = {"vslnet_clips"}  # VSLNet, published by nobody


def test_no_published_variant_is_absent():
    assert set(TABLE["variants"]) == set(configs.variants("nlq")) - CONTROLS - SPANS


@pytest.mark.parametrize("variant", TABLE["variants"])
def test_published_values(variant: str, record_property):
    found = compare(Config, "nlq", variant, TABLE)
    record_property("values compared", found.compared)
    print(f"nlq/{variant}: {found.compared} values compared")
    assert not found.wrong and not found.stale
    assert found.compared > 80


@pytest.mark.parametrize("variant", sorted(CONTROLS))
def test_controls_train_as_from_scratch(variant: str):
    """They differ from ``scratch`` in their features, streams and sizes alone."""
    changed = changes(variant, "scratch")
    assert changed and all(name.startswith(("model.", "data.")) for name in changed)


def test_vslnet_on_features_of_clips_is_the_published_network():
    """It reads, trains on and chooses something else."""
    assert changes("vslnet_clips", "vslnet") == {
        "data.train",
        "data.version",
        "data.video_stores",
        "fit.evaluate_every_updates",
        "fit.monitor",
        "infer.weights",
    }


def changes(variant: str, other: str) -> set[str]:
    """The fields in which two variants differ."""
    ours, theirs = (
        configs.flatten(configs.resolve(Config, "nlq", name, "paper")) for name in (variant, other)
    )
    return {name for name in ours if ours[name] != theirs[name]}


@pytest.mark.parametrize(
    ("variant", "keys", "config"),
    [
        ("finetune_published", "groundnlq", groundnlq()),
        ("star_finetune_trainval", "groundnlq_star", groundnlq_star()),
    ],
)
def test_published_starts_load_by_their_published_names(variant, keys, config, tmp_path):
    state = make_state_dict(read_json(DEFAULT / "nlq" / f"{keys}.keys.json"), seed=3)
    official = {f"module.{k}": torch.as_tensor(v) for k, v in state.items()}
    torch.save({"epoch": 5, "state_dict": official}, tmp_path / "pretrained.pth.tar")
    paper = configs.build(Config, configs.resolve(Config, "nlq", variant, "paper"))
    assert paper.model == config
    model = GroundNLQ(paper.model)
    report = load_initial(model, tmp_path / "pretrained.pth.tar", paper.initial.heads)
    assert report.loaded + len(report.missing) == len(state) == len(model.state_dict())
    assert report.missing and all(name.startswith(HEADS) for name in report.missing)
    name = "stem.0.attention.query.linear.bias"
    wanted = torch.as_tensor(state["backbone.vid_stem.0.attn.query.bias"])
    assert torch.equal(model.state_dict()[name], wanted)
