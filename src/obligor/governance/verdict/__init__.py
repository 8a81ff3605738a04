"""What the figures say, in words: the first thing that a risk officer reads."""
