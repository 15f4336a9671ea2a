"""Official files: checkpoints, configurations, submissions."""
