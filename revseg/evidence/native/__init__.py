"""What is computed of evidence on a CPU, in C."""
