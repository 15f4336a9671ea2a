"""KYS, "Know Your Surroundings" (Bhat et al., ECCV 2020): network, tracker, both directions."""
