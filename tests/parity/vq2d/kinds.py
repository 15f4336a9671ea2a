"""Which recorded file of this folder is read by which test."""

KINDS = {
    "metrics": ["metrics_*.json.gz"],
    "data_process": ["data_*_process.json.gz"],
    "data_frames": ["data_*_frames.json.gz"],
    "data_samples": ["data_*_samples.json.gz"],
    "crop": ["crop_*.npz"],
    "peaks": ["peaks_*.json.gz"],
    "submission": ["submission_*.json.gz"],
    "siamrcnn_forward": ["siamrcnn_forward*.npz"],
    "siamrcnn_step1": ["siamrcnn_step1*.npz"],
    "heads": ["heads*.npz"],
    "kys_units": ["kys_units*.npz"],
    "kys_track": ["kys_track*.npz"],
    "kys_bidirectional": ["kys_bidirectional*.json"],
    "particle_filter": ["particle_filter*.npz"],
}

KNOWN: list[str] = []
