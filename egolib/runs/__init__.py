"""From a request to runs: which notebooks, in which order, and which of them must run again.

A run is a graph of notebooks. ``plan`` makes it, ``stamps`` says which nodes are
current and why the others are not, ``execute`` runs one node, ``local`` a graph on
this machine and ``slurm`` a graph on a cluster.
"""
