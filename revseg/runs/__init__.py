"""The folder of a run: whole files, one process at a time, where it came from."""
