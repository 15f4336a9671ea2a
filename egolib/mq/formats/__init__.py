"""Files of others: result and submission files, official checkpoints."""
