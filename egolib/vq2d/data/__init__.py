"""From the official annotation files to clips, images, crops and training samples."""
