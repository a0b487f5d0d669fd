"""Suite `sample`: expressions written by one model; ours, Hugging Face's `generate`, and a sampler without a cache.

All draw from the same distribution: weights whose samples are as long as real expressions. Samples per second.
"""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from launch.benchmarks import gpt2
from launch.benchmarks.case import Contender, Row, compare, timed
from launch.benchmarks.machine import matmul_flops
from launch.benchmarks.sizes import Options, Size
from launch.planning.flops import forward_flops
from logic.boolean.language import Boolean
from loop.config import Config, LoopConfig, SweepConfig
from loop.training.ensemble import Ensemble
from model.config import ModelConfig, SampleConfig
from model.sampling import EOS
from model.transformer import forward, init_params

_LARGEST = 9.0  # logit of `<eos>` where it is all but certain
_POSITION_NORM = 8.0  # of the positions' entries: what the blocks add to them changes little


def params_with_real_lengths(model: ModelConfig, grammar: Boolean, temperature: float) -> dict:
    """Weights whose samples are as long as the grammar's expressions, whatever the size of the model.

    The blocks are GPT-2's initial ones. The positions carry the probability that an expression ends there, given
    that it has not: each is a mix of two directions, the first of which is the embedding of `<eos>`, and the last norm
    makes the logit of it. Training to the same end would take hours at paper size.
    """
    D, T = model.width, model.context_length
    p = np.pad(grammar.length_distribution(), (0, T))[:T]
    left = np.maximum(1 - np.cumsum(p) + p, 1e-12)  # P(length >= t)
    hazard = np.clip(p / left, 1e-9, 1 - 1e-9)
    logit = temperature * np.log((model.vocab_size - 1) * hazard / (1 - hazard))
    cos_T = np.clip(logit / _LARGEST, -1, 1)
    first, second = np.tile([1, 1, -1, -1], D // 4), np.tile([1, -1, 1, -1], D // 4)
    params = dict(jax.jit(init_params, static_argnums=0)(model, jax.random.key(0)))
    embedding_VD = np.zeros((model.vocab_size, D), np.float32)
    embedding_VD[EOS] = _LARGEST / D * first
    positions_TD = cos_T[:, None] * first + np.sqrt(1 - cos_T**2)[:, None] * second
    params["embedding"] = jnp.asarray(embedding_VD)
    params["positions"] = jnp.asarray(_POSITION_NORM * positions_TD, jnp.float32)
    return params


def product_sampler(model: ModelConfig, config: SampleConfig, n: int) -> Callable[[dict, int], np.ndarray]:
    """Returns sample(params, seed) -> ids_NT on the host: the product's engine with one cell."""
    loop = LoopConfig(num_examples=2, num_samples=n, num_held_out=1)
    sweep = SweepConfig(cycles=("fresh",), fresh_ratios=(1.0,), seeds=(0,))
    whole = Config(Boolean(1, 2), model, sample=config, loop=loop, sweep=sweep)
    ensemble = Ensemble(whole, whole.networks())
    active = np.ones(1, bool)

    def sample(params: dict, seed: int) -> np.ndarray:
        stacked = jax.tree.map(lambda x: ensemble.put(np.asarray(x)[None]), params)
        return ensemble.sample(stacked, seed, active)[0]

    return sample


def uncached_sampler(model: ModelConfig, temperature: float, n: int) -> Callable[[dict, int], np.ndarray]:
    """Returns sample(params, seed) -> ids_NT: a full forward pass for every symbol, until all samples have ended."""
    T = model.context_length

    @jax.jit
    def sample(params: dict, key: jax.Array) -> jax.Array:
        def unfinished(carry: tuple) -> jax.Array:
            _, t, done_N = carry
            return (t < T) & ~jnp.all(done_N)

        def write(carry: tuple) -> tuple:
            ids_NS, t, done_N = carry
            logits_NV = forward(model, params, ids_NS[:, :T])[:, t]
            symbol_N = jax.random.categorical(jax.random.fold_in(key, t), logits_NV / temperature)
            symbol_N = jnp.where(done_N, EOS, symbol_N).astype(jnp.int32)
            ids_NS = jax.lax.dynamic_update_slice(ids_NS, symbol_N[:, None], (0, t + 1))
            return ids_NS, t + 1, done_N | (symbol_N == EOS)

        start = (jnp.zeros((n, T + 1), jnp.int32), jnp.int32(0), jnp.zeros(n, bool))
        return jax.lax.while_loop(unfinished, write, start)[0][:, 1:]

    return lambda params, seed: np.asarray(sample(params, jax.random.key(seed)))


def suite(size: Size, options: Options) -> Iterator[Row]:
    """Hugging Face's cache, then no cache at all."""
    model = size.model(options.dtype, context_length=size.sample_context)
    config = SampleConfig()
    params = params_with_real_lengths(model, size.language, config.temperature)
    n, T = size.num_samples, model.context_length
    peak = matmul_flops(options.dtype)
    ours = product_sampler(model, config, n)
    length = (ours(params, 0) != EOS).sum(axis=1)
    on_cpu = jax.default_backend() == "cpu"

    def hugging_face() -> Contender:
        where = gpt2.device(options)
        import torch

        peer = gpt2.build(model, where)
        gpt2.load(peer, params)
        cast = torch.autocast(where, torch.bfloat16, enabled=options.dtype == "bfloat16")

        def write(seed: int) -> None:
            torch.manual_seed(seed)
            with cast:
                gpt2.generate(peer, n, gpt2.batch_size(n), config.temperature, T)

        return Contender(timed(write, options.min_seconds), n)

    def uncached() -> Contender:
        few = min(n, size.num_uncached) if on_cpu else n
        sample = uncached_sampler(model, config.temperature, few)
        return Contender(timed(lambda seed: sample(params, seed), options.min_seconds), few)

    peers: list[tuple[str, str, Callable[[], Contender]]] = [
        ("hugging_face", f"{gpt2.NAME}, generate with its key-value cache", hugging_face),
        ("uncached", "JAX, a full forward pass for every symbol", uncached),
    ]
    for case, name, peer in peers:
        yield compare(
            "sample",
            case,
            size.name,
            "samples/s",
            Contender(timed(lambda seed: ours(params, seed), options.min_seconds), n),
            name,
            peer,
            options.repeats,
            # Symbols are read until the end of the sample, its `<eos>` not included: one forward pass each.
            float(np.mean([sum(forward_flops(model, s + 1) for s in range(min(k + 1, T))) for k in length.tolist()])),
            peak,
            length_mean=float(length.mean()),
            length_max=int(length.max()),
        )
