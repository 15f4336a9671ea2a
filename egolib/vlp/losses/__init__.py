"""Objectives: contrastive, masked language, matching, and the retrieval losses."""
