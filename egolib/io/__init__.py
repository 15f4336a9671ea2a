"""Files: records, pickles, features, checkpoints, and where data and weights come from."""
