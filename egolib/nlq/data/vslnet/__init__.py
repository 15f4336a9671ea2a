"""What VSLNet sees of a question: cells, features, tokens; single samples and batches."""
