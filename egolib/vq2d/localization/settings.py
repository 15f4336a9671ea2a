"""Which settings of step 2 a run answers: the configured one, and each change to compare."""

from __future__ import annotations

from dataclasses import asdict, replace

from egolib.vq2d.config import Config, LocalizeConfig, PeakChange, SweepConfig

SWEPT = {
    "threshold": "thresholds",
    "distance": "distances",
    "width": "widths",
    "prominence": "prominences",
}


def changed_peaks(config: LocalizeConfig, change: PeakChange) -> LocalizeConfig:
    """Step 2 with other peaks."""
    given = {name: value for name, value in asdict(change).items() if value is not None}
    return replace(config, peaks=replace(config.peaks, **given))


def configured(config: Config) -> LocalizeConfig:
    """Step 2 as this run evaluates it."""
    return changed_peaks(config.localize, config.evaluate.peaks)


def sweeps(config: LocalizeConfig, sweep: SweepConfig) -> dict[str, dict[float, LocalizeConfig]]:
    """Peak setting -> value -> step 2 with that one value changed; values ascending."""
    return {
        name: {
            value: replace(config, peaks=replace(config.peaks, **{name: value}))
            for value in sorted(getattr(sweep, field))
        }
        for name, field in SWEPT.items()
        if getattr(sweep, field)
    }


def compared(config: LocalizeConfig, sweep: SweepConfig) -> dict[str, LocalizeConfig]:
    """Corrections by name."""
    known = {
        "reflect": replace(config, peaks=replace(config.peaks, curve_ends="reflect")),
        "checked": replace(config, track_check="similarity"),
    }
    return {name: known[name] for name in sweep.compare}


def further(config: LocalizeConfig, sweep: SweepConfig) -> tuple[LocalizeConfig, ...]:
    """All settings beside the configured one, each once."""
    found = [each for values in sweeps(config, sweep).values() for each in values.values()]
    found += compared(config, sweep).values()
    return tuple(dict.fromkeys(each for each in found if each != config))
