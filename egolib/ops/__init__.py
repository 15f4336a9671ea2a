"""Boxes and time segments: measures, transforms, suppression."""
