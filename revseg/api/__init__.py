"""What is called from Python, where there is no command line."""
