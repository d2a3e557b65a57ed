"""What labels and motion say of the frames that have no label."""
