"""Numbers: arrays in, arrays out."""
