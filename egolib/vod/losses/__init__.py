"""What is minimised. Every network computes its own parts (``losses(clip)``); ``clips`` adds
them up over an update."""
