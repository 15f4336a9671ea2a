"""Objectives of natural-language queries."""
