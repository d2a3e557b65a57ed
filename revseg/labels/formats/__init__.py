"""Labels as annotation tools write them, one format a file."""
