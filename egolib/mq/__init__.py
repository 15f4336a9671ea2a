"""Moments queries (Ego4D MQ): VSGN. Given a clip and a list of classes, when each class happens."""
