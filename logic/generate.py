"""Writes real data of a language, drawn from the real distribution, one sample a line.

python -m logic.generate --n=1000 --min_depth=1 --max_depth=5 --num_variables=0 --seed=0

Of the language `boolean` they are true expressions; with variables tautologies, true in every row of their truth
tables. The same seed gives the same lines, and a larger n the same lines and more.
"""

import sys

from absl import flags

from logic import streams
from logic.errors import UsageError
from logic.language import Language

_BLOCK = 4096  # samples drawn at once, each block from its own stream: that is what keeps memory small


def main(argv: list[str], language: Language) -> None:
    """Draws and prints."""
    if len(argv) > 1:
        raise UsageError(f"{argv[1]!r}: no arguments are allowed, only flags (see --help)")
    n, seed = flags.FLAGS.n, flags.FLAGS.seed
    for block in range(-(-n // _BLOCK)):
        # Whole blocks are drawn even if fewer are wanted: the first lines must not depend on n.
        samples = language.sample(_BLOCK, streams.generate(seed, block))
        lines = language.decode(samples[: n - block * _BLOCK])
        sys.stdout.buffer.write(("\n".join(lines) + "\n").encode())


if __name__ == "__main__":  # not on import, since commands share names of flags
    from launch import cli

    flags.DEFINE_integer("n", 1000, "Number of samples.", lower_bound=0)
    flags.DEFINE_integer("seed", 0, "Seed of the random draws.", lower_bound=0)
    cli.define_language()
    cli.run(lambda argv: main(argv, cli.language()))
