"""The Siamese R-CNN: proposals of every frame, compared with the picture of an object."""
