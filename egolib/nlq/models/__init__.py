"""GroundNLQ: attention, blocks, network; the text tower of CLIP."""
