"""Metrics on plain arrays: one file per task."""
