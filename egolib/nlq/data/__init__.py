"""Annotations, narrations, feature stores, and what the network sees of a question."""
