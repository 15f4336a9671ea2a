"""Which recorded file of this folder is read by which test.

A folder of files is one case, named by the file that the test starts from.
"""

KINDS = {
    "net": ["net_full*.npz", "net_star*.npz", "!net_full_grads*"],
    "net_small": ["net_small*.npz"],
    "net_grads": ["net_full_grads*.npz"],
    "keys": ["groundnlq*.keys.json"],
    "inputs": ["input_checks*.json"],
    "labels": ["label_assignment*.npz"],
    "losses": ["losses*.npz"],
    "loss_functions": ["loss_functions*.npz"],
    "schedules": ["lr_schedules*.npz"],
    "groups": ["optimizer_groups*.json"],
    "trace": ["train_trace*.npz"],
    "nms": ["nms*.npz"],
    "decode": ["decode*.npz"],
    "annotations": ["data/synthetic*/nlq_val.json"],
    "narrations": ["data/narrations*/egoclip.csv"],
    "dataset": ["data/dataset*/items.json"],
    "ensemble": ["ensemble*/ensemble.json.gz"],
    "list_nms": ["ensemble*/temporal_nms.json"],
}

KNOWN = [
    "data/synthetic*/*",
    "data/narrations*/*",
    "data/dataset*/*",
    "ensemble*/model*.json.gz",
]
