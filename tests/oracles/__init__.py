"""The official order of work on our own kernels, for tests and benchmarks."""
