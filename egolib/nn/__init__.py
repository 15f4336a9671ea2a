"""Network parts that several tasks share. Their settings lie in ``egolib.nn.config``."""
