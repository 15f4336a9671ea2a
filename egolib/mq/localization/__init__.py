"""Between network and answer: anchors, assignment, suppression, ranked moments."""
