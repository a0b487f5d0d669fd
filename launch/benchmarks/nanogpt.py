"""A peer model: GPT-2 as nanoGPT (github.com/karpathy/nanoGPT) trains it, written for this benchmark.

One matrix for queries, keys and values, PyTorch's fused attention, no biases, tied embeddings, AdamW and clipping as in
gpt2.Trainer. It differs in one thing: GELU by its tanh formula, which is GPT-2's own and ours.

Axes: B batch, T symbols, D width, H heads, K head width, V vocabulary.
"""

from typing import Any

import numpy as np

from launch.benchmarks import gpt2
from model.config import ModelConfig


def build(model: ModelConfig, where: str) -> Any:
    """The model from scratch, with the layers, heads, width, context and vocabulary of `model`."""
    gpt2.require("torch")
    import torch
    from torch import nn
    from torch.nn import functional

    D = model.width

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm_1, self.norm_2 = (nn.LayerNorm(D, eps=1e-6, bias=False) for _ in range(2))
            self.qkv, self.out = nn.Linear(D, 3 * D, bias=False), nn.Linear(D, D, bias=False)
            self.mlp_in, self.mlp_out = nn.Linear(D, 4 * D, bias=False), nn.Linear(4 * D, D, bias=False)
            self.drop = nn.Dropout(model.dropout)

        def attend(self, x_BTD: Any) -> Any:
            q, k, v = (
                part.unflatten(-1, (model.num_heads, -1)).transpose(1, 2) for part in self.qkv(x_BTD).split(D, dim=-1)
            )
            rate = model.dropout if self.training else 0.0
            y_BHTK = functional.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=rate)
            return self.out(y_BHTK.transpose(1, 2).flatten(2))

        def forward(self, x_BTD: Any) -> Any:
            x_BTD = x_BTD + self.drop(self.attend(self.norm_1(x_BTD)))
            h_BTF = functional.gelu(self.mlp_in(self.norm_2(x_BTD)), approximate="tanh")
            return x_BTD + self.drop(self.mlp_out(h_BTF))

    class Transformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(model.vocab_size, D)
            self.positions = nn.Embedding(model.context_length, D)
            self.drop = nn.Dropout(model.dropout)
            self.blocks = nn.ModuleList(Block() for _ in range(model.num_layers))
            self.norm = nn.LayerNorm(D, eps=1e-6, bias=False)
            for name, parameter in self.named_parameters():
                if parameter.ndim == 2:
                    narrow = name.endswith(("out.weight", "mlp_out.weight"))
                    nn.init.normal_(parameter, std=0.02 * ((2 * model.num_layers) ** -0.5 if narrow else 1))

        def forward(self, ids_BT: Any) -> Any:
            place_T = torch.arange(ids_BT.shape[1], device=ids_BT.device)
            x_BTD = self.drop(self.embedding(ids_BT) + self.positions(place_T))
            for block in self.blocks:
                x_BTD = block(x_BTD)
            return functional.linear(self.norm(x_BTD), self.embedding.weight)

    torch.manual_seed(0)
    return Transformer().to(where)


def load(peer: Any, params: dict) -> None:
    """Copies our parameters (learned positions, tied embeddings) into the peer."""
    import torch

    weights = {"embedding.weight": params["embedding"], "positions.weight": params["positions"]}
    weights["norm.weight"] = params["norm"]["layer"]["scale"]
    for i in range(len(peer.blocks)):
        block, to = params[f"block_{i}"], f"blocks.{i}"
        for name in ("norm_1", "norm_2"):
            weights[f"{to}.{name}.weight"] = block[name]["layer"]["scale"]
        for name in ("qkv", "out"):
            weights[f"{to}.{name}.weight"] = block["attention"][name]["kernel"].T
        for name in ("mlp_in", "mlp_out"):
            weights[f"{to}.{name}.weight"] = block[name]["kernel"].T
    peer.load_state_dict({name: torch.from_numpy(np.array(x, np.float32)) for name, x in weights.items()})


NANOGPT = gpt2.Kind("nanoGPT's model", build, lambda peer, ids_BT: peer(ids_BT))
