"""Quantizer maps: which quantizers go into which layers."""
