"""Tokenizers, weights, adapters and the device they run on."""
