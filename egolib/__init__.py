"""egolib: five published systems for egocentric and video understanding, one package.

Importing this package does no work and loads no heavy library; import the task
that is needed: ``from egolib import nlq``.
"""

__version__ = "0.1.0"
