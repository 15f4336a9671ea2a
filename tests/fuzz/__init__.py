"""Seeded mutations of foreign files: an error, the same result, or a listed skip."""
