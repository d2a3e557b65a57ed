"""Masks, and the videos that they belong to."""
