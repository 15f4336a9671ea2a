"""Lists, annotations, reference sampling and image pipelines of ImageNet VID (no torch)."""
