"""What a service tells of itself: its journal, its counts, and its traces."""
