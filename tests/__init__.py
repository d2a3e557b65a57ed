"""Tests mirror the package path for path."""
