"""What a run trains on, and how good it is."""
