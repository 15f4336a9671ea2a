"""Hostile files: whatever they hold, nothing runs, nothing is written, no process dies."""
