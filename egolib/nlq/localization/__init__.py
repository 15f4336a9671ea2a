"""Between network and answer: points, decoding, ensembles, blind baselines."""
