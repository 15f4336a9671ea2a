"""Which recorded file of this folder is read by which test."""

KINDS = {
    "convert": ["convert*.json"],
    "evaluation": ["evaluation*.json"],
    "motion": ["motion_*.mat"],
    "sampling": ["sampling*.json"],
    "pipeline_units": ["pipeline_units*.npz"],
    "frcnn": ["frcnn*.npz", "!*_train.npz"],
    "selsa": ["selsa*.npz", "!*_train.npz", "!selsa_fixed*.npz"],
    "selsa_fixed": ["selsa_fixed*.npz"],
    "mamba": ["mamba*.npz", "!*_train.npz"],
    "stpn": ["stpn*.npz", "!*_train.npz"],
    "eovod": ["eovod*.npz", "!*_train.npz"],
    "tdvit": ["tdvit*.npz", "!*_train.npz"],
    "flow": ["flow*.npz"],
    "mega": ["mega*.npz", "!mega_base*.npz", "!*_train.npz"],
    "mega_base": ["mega_base*.npz", "!*_train.npz"],
    "train": ["*_train.npz"],
    "keys": ["*.keys.json"],
}

KNOWN: list[str] = []
