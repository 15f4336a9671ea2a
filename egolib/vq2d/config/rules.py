"""Which values of different sections go together; rules name them and what fits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from egolib.errors import EgolibError

if TYPE_CHECKING:
    from egolib.vq2d.config.run import Config

BACKBONE_FIELDS = ("blocks", "stem_channels", "width", "strides", "dilations", "stride_in", "norm")


def trained_trunk(config: Config) -> None:
    """A trunk that is not trained needs weights to start from."""
    if config.optim.trunk == "frozen" and config.initial.random:
        raise EgolibError(
            "optim.trunk: frozen with initial.weights: none would keep a random trunk",
            remedy="set optim.trunk: trained, or name the published start in initial.weights",
        )


def fitted_comparison(config: Config) -> None:
    """Only a shared projector with a bilinear form can start fitted."""
    head = config.model.head
    if config.initial.comparison == "official":
        return
    if (head.kind, head.compare, head.shared) != ("siamese", "bilinear", True):
        raise EgolibError(
            "initial.comparison: fitted needs model.head.kind: siamese, model.head.compare: "
            "bilinear and model.head.shared: true",
            remedy="set initial.comparison: official",
        )


def tracker_backbone(config: Config) -> None:
    """A tracker that is trained here stands on the detector's backbone."""
    ours, theirs = config.tracker.backbone, config.model.backbone
    other = [name for name in BACKBONE_FIELDS if getattr(ours, name) != getattr(theirs, name)]
    if config.tracker_optim.updates and other:
        name = other[0]
        raise EgolibError(
            f"tracker.backbone.{name}: {getattr(ours, name)} is not model.backbone.{name}: "
            f"{getattr(theirs, name)}, and the tracker is trained on the detector's backbone",
            remedy="make them equal, or tracker_optim.updates: 0 and a trained tracker",
        )


def monitored(config: Config) -> None:
    """The best weights are those of an evaluation."""
    fit = config.fit
    evaluated = bool(fit.evaluate_every or fit.evaluate_every_updates)
    name, _, direction = fit.monitor.partition(":")
    if name and (name not in ("AP", "AP50") or direction not in ("", "max")):
        raise EgolibError(
            f"fit.monitor: {fit.monitor} is not evaluated", remedy="AP:max or AP50:max"
        )
    if config.infer.weights == "best" and not (name and evaluated):
        raise EgolibError(
            "infer.weights: best needs fit.monitor and fit.evaluate_every_updates",
            remedy="set both (fit.monitor: AP:max), or infer.weights: model",
        )


RULES: tuple[Callable[[Config], None], ...] = (
    trained_trunk,
    fitted_comparison,
    tracker_backbone,
    monitored,
)
