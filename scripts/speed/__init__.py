"""What scripts/benchmark.py measures: memory and speed of revseg beside its peers."""
