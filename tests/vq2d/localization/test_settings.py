"""Which settings of step 2 a run answers."""

from __future__ import annotations

from dataclasses import replace

from egolib.vq2d.config import Config, EvaluateConfig, LocalizeConfig, PeakChange, SweepConfig
from egolib.vq2d.localization import settings

CFG = LocalizeConfig()


def test_nothing_to_compare() -> None:
    empty = SweepConfig()
    assert settings.sweeps(CFG, empty) == {} and settings.compared(CFG, empty) == {}
    assert settings.further(CFG, empty) == ()


def test_one_thing_is_changed_at_a_time() -> None:
    found = settings.sweeps(CFG, SweepConfig(thresholds=(0.7, 0.2), widths=(1,)))
    assert list(found) == ["threshold", "width"] and list(found["threshold"]) == [0.2, 0.7]
    changed = found["threshold"][0.2]
    assert changed.peaks.threshold == 0.2 and changed.peaks.width == CFG.peaks.width
    assert replace(changed, peaks=CFG.peaks) == CFG


def test_each_further_setting_once() -> None:
    same = CFG.peaks.threshold
    sweep = SweepConfig(
        thresholds=(same, 0.1), distances=(CFG.peaks.distance,), compare=("reflect",)
    )
    found = settings.further(CFG, sweep)
    assert len(found) == 2 and CFG not in found
    assert {config.peaks.curve_ends for config in found} == {"official", "reflect"}


def test_a_grid_changes_the_peaks_of_the_evaluation_alone() -> None:
    config = Config(evaluate=EvaluateConfig(peaks=PeakChange(width=1)))
    assert settings.configured(config).peaks == replace(CFG.peaks, width=1)
    assert config.localize == CFG
