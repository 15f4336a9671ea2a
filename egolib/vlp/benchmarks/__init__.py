"""Scores that the benchmarks are evaluated with."""
