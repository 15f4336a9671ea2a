"""Trackers: KYS and a particle filter."""
