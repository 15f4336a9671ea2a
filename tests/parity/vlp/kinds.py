"""Which recorded file of this folder is read by which test."""

KINDS = {
    "network": ["egovlpv2_*.npz"],
    "keys": ["egovlpv2_*.keys.json"],
    "gradients": ["gradients_*.npz"],
    "train_step": ["train_step_*.npz"],
    "blocks": ["blocks*.npz"],
    "temporal_inflation": ["temporal_inflation*.npz"],
    "optimizer": ["optimizer*.npz"],
    "groups": ["param_groups*.json"],
    "losses": ["losses*.npz", "!losses_sms*.npz"],
    "losses_sms": ["losses_sms*.npz"],
    "egomcq": ["egomcq_metric*.npz"],
    "ek100": ["ek100_metric*.npz"],
    "charades": ["charades_metric*.npz"],
    "relevancy": ["relevancy*.npz"],
    "charades_metadata": ["charades_metadata_*.csv"],
    "sampling": ["sampling*.json"],
    "frame_reading": ["frame_reading*.json"],
    "transforms": ["transforms*.npz"],
}

KNOWN = [
    "CharadesEgo_v1_*_only1st.csv",
    "Charades_v1_classes*.txt",
    "ek100_style*.csv",
    "video/*",
]
