"""Which recorded file of this folder is read by which test.

A folder of files is one case, named by the file that the test starts from.
"""

KINDS = {
    "net": ["net_full*.npz", "!net_full_grads*"],
    "net_grads": ["net_full_grads*.npz"],
    "net_small": ["net_small*.npz"],
    "trace": ["train_trace*.npz"],
    "keys": ["vsgn*.keys.json"],
    "inputs": ["input_checks*.json"],
    "anchors": ["anchors*.npz"],
    "box_coder": ["box_coder*.npz"],
    "matcher": ["matcher*.npz"],
    "assignment": ["assignment*.npz"],
    "losses": ["losses*.npz"],
    "labels": ["labels*.npz"],
    "graph": ["graph*.npz"],
    "boundary": ["boundary*.npz"],
    "conversion": ["convert*/clip_annotations_*.json"],
    "dataset": ["dataset*/items*.npz"],
    "stitching": ["stitch*.npz"],
    "windows": ["stitch_windows*.json.gz"],
    "proposals": ["post*/proposals*.npz"],
    "nms": ["post*/nms*.npz"],
    "results": ["post*/expected*.json.gz"],
    "metrics": ["metrics_*.json.gz"],
    "actionformer": ["actionformer*.npz"],
    "segment_functions": ["segment_functions*.npz"],
}

KNOWN = ["actionformer.keys.json", "convert*/*.json", "post*/clips.json", "post*/classes.json"]
