"""VSLNet on the features of EgoVLPv2 (EgoNLQ): one start and one end cell for each question."""
