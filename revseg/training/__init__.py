"""Training: loss, optimizer, schedule, checkpoints, and the loop that puts them together."""
