"""The network: from settings to blocks, opening and head, the training step and inference at the memory floor."""
