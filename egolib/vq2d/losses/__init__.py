"""Objectives of the Siamese R-CNN."""
