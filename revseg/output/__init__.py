"""What a user keeps: masks and an overlay."""
