"""From a network and evidence to masks."""
