"""Which recorded file of this folder is read by which test."""

KINDS = {
    "net": ["net*.npz"],
    "trace": ["train_trace*.npz"],
    "labels": ["labels*.npz"],
    "extract": ["extract*.npz"],
    "metrics": ["metrics*.json.gz"],
    "prepare": ["prepare*.json.gz"],
    "keys": ["vslnet*.keys.json"],
    "inputs": ["input_checks*.json"],
}

KNOWN: list[str] = []
