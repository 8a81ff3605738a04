"""The main job, and the smaller jobs beside it."""
