"""What the notebooks call: one module a notebook, and their figures."""
