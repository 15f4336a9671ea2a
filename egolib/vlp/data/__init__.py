"""Readers of clips, texts and annotations in the official formats."""
