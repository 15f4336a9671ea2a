"""Every alternative of every declared option is tried: ``python -m tests.options <task>``."""
