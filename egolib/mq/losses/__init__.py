"""The objectives of VSGN."""
