"""Shape and arithmetic of the transformer, and how it is sampled."""

import dataclasses

POSITIONS = ("learned", "rotary")
NORMS = ("layernorm", "rmsnorm")
DTYPES = ("float32", "bfloat16")
CPU_SYMBOLS = 512  # that a CPU reads at once: the best of those measured, at widths 64 to 384 (docs/performance.md)
LEAST = 1e-30  # a smaller temperature or mass above 0 is none for 32 bits: logits divided by it are infinite


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """A decoder-only transformer; the defaults are the paper's 10.6 M parameters."""

    architecture: str = dataclasses.field(default="transformer", kw_only=True)  # one of model/models.py
    num_layers: int = 6  # blocks of attention and MLP
    num_heads: int = 6  # attention heads per block
    width: int = 384  # residual stream; a multiple of num_heads (of 2 num_heads if rotary)
    context_length: int = 256  # symbols the model sees at most, and writes at most
    dropout: float = 0.2  # probability of dropping an activation while training
    positions: str = "learned"  # learned | rotary
    norm: str = "layernorm"  # layernorm | rmsnorm, both without bias
    tie_embeddings: bool = True  # the output layer is the transposed embedding
    dtype: str = "float32"  # of activations; parameters, softmax and loss stay float32
    vocab_size: int = 0  # symbols; 0: as many as the language has

    def __post_init__(self) -> None:
        for name in ("num_layers", "num_heads", "width", "context_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"model.{name} = {getattr(self, name)}: allowed are integers from 1")
        unit = self.num_heads * (2 if self.positions == "rotary" else 1)
        if self.width % unit:
            raise ValueError(
                f"model.width = {self.width}: allowed are multiples of {unit} "
                f"(model.num_heads = {self.num_heads}, model.positions = {self.positions})"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"model.dropout = {self.dropout}: allowed are 0 <= dropout < 1")
        if not 0 <= self.vocab_size < 256:
            raise ValueError(f"model.vocab_size = {self.vocab_size}: allowed are 0 (the language's) to 255")
        for name, allowed in (("positions", POSITIONS), ("norm", NORMS), ("dtype", DTYPES)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"model.{name} = {getattr(self, name)}: allowed are {', '.join(allowed)}")

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.width // self.num_heads


@dataclasses.dataclass(frozen=True)
class SampleConfig:
    """How the next symbol is chosen. Filters apply in the order temperature, top_k, top_p."""

    temperature: float = 0.8  # divides the logits; 0 takes the most probable symbol (greedy)
    top_k: int = 0  # keep the k most probable symbols; 0 keeps all
    top_p: float = 1.0  # keep the most probable symbols up to this mass; 1 keeps all
    batch_size: int = 0  # samples written side by side; 0 takes what suits the device

    def __post_init__(self) -> None:
        if self.temperature != 0 and not LEAST <= self.temperature <= 1 / LEAST:
            raise ValueError(
                f"sample.temperature = {self.temperature}: allowed are 0 (the most probable symbol) and numbers from "
                f"{LEAST:g} to {1 / LEAST:g}"
            )
        if self.top_k < 0:
            raise ValueError(f"sample.top_k = {self.top_k}: allowed are integers from 0 (all)")
        if not LEAST <= self.top_p <= 1:
            raise ValueError(f"sample.top_p = {self.top_p}: allowed are 0 < top_p <= 1, from {LEAST:g} on")
        if self.batch_size < 0:
            raise ValueError(f"sample.batch_size = {self.batch_size}: allowed are integers from 0")
