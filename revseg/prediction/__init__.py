"""From a trained network to what a user keeps: masks and an overlay."""
