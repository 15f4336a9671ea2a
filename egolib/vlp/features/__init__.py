"""Features of videos: EgoMQ's files, and feature stores."""
