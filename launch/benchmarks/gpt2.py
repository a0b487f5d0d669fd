"""A peer model: Hugging Face's GPT-2 in PyTorch, trained and sampled as people do it.

Axes: B batch, T context length, V vocabulary. PyTorch and transformers are imported where used: they are optional.
"""

import importlib
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from launch.benchmarks.case import UnavailableError
from launch.benchmarks.sizes import Options
from loop.config import TrainConfig
from model.config import ModelConfig

NAME = "Hugging Face GPT-2"


def require(*modules: str) -> None:
    """Imports what a peer needs; raises `UnavailableError` where it is not installed."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise UnavailableError(f"{module} is not installed") from error


def device(options: Options) -> str:
    """PyTorch's device of the kind that JAX uses; limits its threads. Raises `UnavailableError` if it has none."""
    require("torch")
    import jax
    import torch

    torch.set_num_threads(options.cores)
    if jax.default_backend() == "cpu":
        return "cpu"
    if not torch.cuda.is_available():
        raise UnavailableError(f"torch has no device like JAX's {jax.devices()[0].device_kind}")
    torch.set_float32_matmul_precision("high")
    return "cuda"


def build(model: ModelConfig, where: str) -> Any:
    """GPT-2 from scratch with the layers, heads, width, context and vocabulary of `model`."""
    require("torch", "transformers")
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=model.vocab_size,
        n_positions=model.context_length,
        n_embd=model.width,
        n_layer=model.num_layers,
        n_head=model.num_heads,
        resid_pdrop=model.dropout,
        embd_pdrop=model.dropout,
        attn_pdrop=model.dropout,
        layer_norm_epsilon=1e-6,  # Flax's
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    peer: Any = GPT2LMHeadModel(config)
    return peer.to(where)


def load(peer: Any, params: dict) -> None:
    """Copies our parameters (learned positions, tied embeddings) into the peer; its biases become zero."""
    import torch

    weights = {"transformer.wte.weight": params["embedding"], "transformer.wpe.weight": params["positions"]}
    weights["transformer.ln_f.weight"] = params["norm"]["layer"]["scale"]
    for i in range(peer.config.n_layer):
        block, to = params[f"block_{i}"], f"transformer.h.{i}"
        weights[f"{to}.ln_1.weight"] = block["norm_1"]["layer"]["scale"]
        weights[f"{to}.ln_2.weight"] = block["norm_2"]["layer"]["scale"]
        weights[f"{to}.attn.c_attn.weight"] = block["attention"]["qkv"]["kernel"]
        weights[f"{to}.attn.c_proj.weight"] = block["attention"]["out"]["kernel"]
        weights[f"{to}.mlp.c_fc.weight"] = block["mlp_in"]["kernel"]
        weights[f"{to}.mlp.c_proj.weight"] = block["mlp_out"]["kernel"]
    with torch.no_grad():
        for name, parameter in peer.named_parameters():
            if name in weights:
                parameter.copy_(torch.from_numpy(np.array(weights[name], np.float32)))
            else:
                assert name.endswith(".bias"), name
                parameter.zero_()


class Kind(NamedTuple):
    """A model in PyTorch."""

    name: str
    build: Callable[[ModelConfig, str], Any]  # (shape, PyTorch's device) -> module
    logits: Callable[[Any, Any], Any]  # (module, ids_BT) -> logits_BTV


HUGGING_FACE = Kind(NAME, build, lambda peer, ids_BT: peer(ids_BT, use_cache=False).logits)


class Trainer:
    """Trains a model with fused AdamW and gradient clipping, eagerly or through torch.compile."""

    def __init__(
        self,
        model: ModelConfig,
        config: TrainConfig,
        options: Options,
        compiled: bool = False,
        kind: Kind = HUGGING_FACE,
    ):
        self.where = device(options)
        import torch

        self.config = config
        self.kind = kind
        self.model = kind.build(model, self.where)
        self.model.train()
        self.steps = 0
        self.cast = torch.autocast(self.where, torch.bfloat16, enabled=model.dtype == "bfloat16")
        matrices = [p for p in self.model.parameters() if p.ndim >= 2]
        vectors = [p for p in self.model.parameters() if p.ndim < 2]
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            fused=True,
        )
        self.loss = torch.compile(self._loss) if compiled else self._loss

    def _loss(self, ids_BS: Any) -> Any:
        import torch

        logits_BTV = self.kind.logits(self.model, ids_BS[:, :-1])
        return torch.nn.functional.cross_entropy(logits_BTV.flatten(0, 1).float(), ids_BS[:, 1:].flatten())

    def step(self, windows_BS: np.ndarray, learning_rate: float | None = None) -> Any:
        """One step on windows of T + 1 symbols; returns the loss, a tensor that may not be computed yet."""
        import torch

        ids_BS = torch.from_numpy(windows_BS.astype(np.int64)).to(self.where, non_blocking=True)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate or group["lr"]
        with self.cast:
            loss = self.loss(ids_BS)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.grad_clip)
        self.optimizer.step()
        self.steps += 1
        return loss

    def wait(self) -> None:
        """Waits until the device has done its work."""
        import torch

        if self.where == "cuda":
            torch.cuda.synchronize()


def draw_windows(stream: np.ndarray, rng: np.random.Generator, batch_size: int, length: int) -> np.ndarray:
    """A batch of random windows of the stream, as nanoGPT draws it."""
    start = rng.integers(0, len(stream) - length, batch_size)
    return stream[start[:, None] + np.arange(length)]


def batch_size(num_samples: int) -> int:
    """The fastest for `generate`: of 256, 500 and 1,000 on a CPU core it was 256; an accelerator takes all at once."""
    import jax

    return min(num_samples, 256) if jax.default_backend() == "cpu" else num_samples


def generate(peer: Any, num_samples: int, batch_size: int, temperature: float, max_length: int) -> np.ndarray:
    """Samples with `generate` and its key-value cache; what follows the first `<eos>`, filled up with `<eos>`."""
    import torch

    peer.eval()
    batches = []
    with torch.no_grad():
        for first in range(0, num_samples, batch_size):
            start = torch.zeros((min(batch_size, num_samples - first), 1), dtype=torch.long, device=peer.device)
            ids = peer.generate(
                start,
                attention_mask=torch.ones_like(start),
                do_sample=True,
                temperature=temperature,
                top_k=0,
                use_cache=True,
                max_new_tokens=max_length,
                eos_token_id=0,
                pad_token_id=0,
            )
            ids = ids[:, 1:].cpu().numpy()
            batches.append(np.pad(ids, ((0, 0), (0, max_length - ids.shape[1]))))
    return np.concatenate(batches)


def attempt(make: Callable[[], Any]) -> Any:
    """The result of `make`; whatever it raises (torch.compile needs a compiler, say) makes the peer unavailable."""
    try:
        return make()
    except UnavailableError:
        raise
    except Exception as error:
        reason = (str(error) or repr(error)).splitlines()[0]
        raise UnavailableError(f"{type(error).__name__}: {reason}") from error
