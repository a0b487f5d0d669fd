"""Into how many parts a batch is cut, each of which a training step works through on its own (gradients.py).

On a CPU a part has so few symbols that what an operation writes is in the cache when the next one reads it. On an
accelerator a batch is whole where it fits, and else cut as little as it takes. The rule asks for nothing but the shapes
and an accelerator's memory, so that a run goes on with the same bits.
"""

from loop.config import Config
from loop.training.memory import bytes_per_cell, members_that_fit
from model.config import CPU_SYMBOLS


def parts_of_batch(
    config: Config,
    data: int = 1,
    accelerator: bool = True,
    bytes_limit: float | None = None,
    cells: int | None = None,
) -> int:
    """Equal parts of every batch; windows are left over in none.

    Args:
      data: devices that share a cell, each with an equal share of every part.
      accelerator: whether they are no CPUs.
      bytes_limit: of an accelerator's memory; None: not known.
      cells: that a device has, in groups; None: no more than are side by side.
    """
    windows = config.train.batch_size // data  # of a device
    allowed = [parts for parts in range(1, windows + 1) if windows % parts == 0]
    if config.train.micro_batch or not accelerator:
        most = config.train.micro_batch or CPU_SYMBOLS // config.model.context_length
        return next((parts for parts in allowed if windows // parts <= most), windows)  # of one window each
    if bytes_limit is None:
        return 1
    fitting = (parts for parts in allowed if members_that_fit(config, bytes_limit, cells, data, parts=parts))
    return next(fitting, min(allowed, key=lambda parts: bytes_per_cell(config, data, parts=parts).working))
