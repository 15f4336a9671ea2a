"""Training, the same for all tasks: ``fit`` and what it needs.

Only the settings are imported here, so that configurations stay free of torch;
``from egolib.engine.fit import fit`` brings the loop.
"""

from egolib.engine.config import FitConfig, total_updates, updates_per_epoch

__all__ = ["FitConfig", "total_updates", "updates_per_epoch"]
