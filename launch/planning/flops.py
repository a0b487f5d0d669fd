"""Floating point operations of the transformer, counted from its shape.

A product of [M, K] and [K, N] matrices takes 2·M·K·N operations. Counted are the matrix products of the blocks, of
attention over all positions (the causal half is not taken off) and of the output layer: what PaLM (Chowdhery et al.,
arXiv 2204.02311, appendix B) calls model FLOPs. Norms, softmax, activations, embedding and optimiser are left out.
"""

from model.config import ModelConfig


def forward_flops(model: ModelConfig, attended: float | None = None) -> float:
    """Operations per symbol of a forward pass that attends to `attended` positions (default: the whole context)."""
    D, S = model.width, model.context_length if attended is None else attended
    qkv_out_mlp = 2 * D * (3 * D + D + 4 * D + 4 * D)
    scores_and_values = 2 * (2 * S * D)
    return model.num_layers * (qkv_out_mlp + scores_and_values) + 2 * D * model.vocab_size


def train_flops(model: ModelConfig) -> float:
    """Operations per symbol of a training step: the backward pass has two products for each of the forward pass."""
    return 3 * forward_flops(model)
