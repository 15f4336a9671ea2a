"""Query-focused video summarisation (QFVS): which shots of a long video answer a query.

A long video is cut into shots, shots are joined to segments, a small network scores the
shots of each segment for a query, and the best ones are the summary.
"""
