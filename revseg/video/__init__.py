"""Pixels in and out: video files and folders of frames."""
