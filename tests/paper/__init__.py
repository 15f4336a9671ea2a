"""What every variant resolves to on ``paper``, beside the table of published values."""
