"""The self-consuming training loop: train, sample, verify, measure, mix, again."""
