"""Pixels in and out: video files, folders of frames, and volumes."""
