"""The language model: a decoder-only transformer and its cached sampler."""
