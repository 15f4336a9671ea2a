"""Which recorded file of this folder is read by which test."""

KINDS = {
    "network": ["net_*.npz"],
    "keys": ["egotaskqa*.keys.json"],
    "gradients": ["gradients_*.npz"],
    "head": ["head*.npz"],
    "schedule": ["schedule*.json"],
    "sampling": ["sampling*.json"],
    "convert": ["convert*/qas*.json"],
    "metrics": ["metrics*.json.gz"],
}

KNOWN = ["input_checks*.json", "convert*/expected*.json.gz"]
