"""Annotations, class tables, features, training targets, video self-stitching."""
