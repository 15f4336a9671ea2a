"""The VSGN network: stem, cross-scale graph pyramid, heads, boundary adjustment."""
