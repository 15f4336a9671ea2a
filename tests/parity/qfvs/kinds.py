"""Which recorded file of this folder is read by which test."""

KINDS = {
    "fused": ["fused*.npz"],
    "backbone_keys": ["qfvs_*.keys.json"],
    "summary_keys": ["summary*.keys.json"],
    "segment": ["segment*.npz"],
    "extract": ["extract*.npz"],
    "summary": ["summary*.npz"],
    "loss": ["loss*.npz"],
    "schedule": ["schedule*.json.gz"],
    "train_trace": ["train_trace*.npz"],
    "matching": ["matching*.npz"],
    "tags": ["Tags*.mat"],
    "data": ["data*.json.gz"],
}

KNOWN = ["input_checks*.json"]
