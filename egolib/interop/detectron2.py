"""The bridge to detectron2 (``make bridge-detectron2``) for the Siamese R-CNN of vq2d.

``trunk`` puts our weights into detectron2's own ResNet-FPN with its proposal network;
``read_config`` reads its configuration files with its own reader (base files and names of
its model zoo included); ``register`` makes our network one of its meta-architectures::

    register()
    node = node_of(siam_rcnn(), meta="EgolibSiameseRcnn")
    found = detectron2.modeling.build_model(node)([{"image": image, "reference": crop}])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from egolib.errors import EgolibError
from egolib.interop import require
from egolib.interop.detectron2_config import NAME, node_of, read_config, settings_of

if TYPE_CHECKING:
    from torch import nn

    from egolib.vq2d.models.model import SiameseRcnn

__all__ = ["NAME", "node_of", "read_config", "register", "settings_of", "trunk"]


def register() -> type:
    """Registers our Siamese R-CNN as the meta-architecture ``EgolibSiameseRcnn``.

    Raises:
        EgolibError: detectron2 is not installed.
    """
    require("detectron2")
    from detectron2.modeling import META_ARCH_REGISTRY

    from egolib.interop.detectron2_models import EgolibSiameseRcnn

    if NAME not in META_ARCH_REGISTRY:
        META_ARCH_REGISTRY.register(EgolibSiameseRcnn)
    return EgolibSiameseRcnn


def trunk(model: SiameseRcnn) -> nn.Module:
    """detectron2's R50-FPN with proposal network, holding our weights, in test mode.

    Raises:
        EgolibError: detectron2 has no such network, or some weight found no place.
    """
    require("detectron2")
    from detectron2.modeling import build_model

    from egolib.vq2d.formats.key_tables import siamese_table

    theirs = build_model(node_of(model.config, meta="ProposalNetwork")).eval()
    official = siamese_table(model.config).to_official(model.state_dict())
    state = {name: value for name, value in official.items() if not name.startswith("roi_heads.")}
    report = theirs.load_state_dict(state, strict=False)
    if report.missing_keys or report.unexpected_keys:
        raise EgolibError(
            f"weights do not fit detectron2's network: missing {report.missing_keys[:6]}, "
            f"unexpected {report.unexpected_keys[:6]}"
        )
    result: nn.Module = theirs
    return result
