"""Between detections and answer: peaks, confidence, response tracks."""
