"""Videos and masks: read, written, made up, augmented. A video stays uint8 until it is used."""
