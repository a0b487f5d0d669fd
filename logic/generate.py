"""Writes true expressions drawn from the real distribution, one a line.

python -m logic.generate --n=1000 --min_depth=1 --max_depth=5 --num_variables=0 --seed=0

With variables they are tautologies: true in every row of their truth tables. --constants=false leaves True and False
out.
The same seed gives the same lines, and a larger n the same lines and more.
"""

import sys

import numpy as np
from absl import flags

from logic.boolean.grammar import Grammar
from logic.boolean.symbols import decode
from logic.errors import UsageError, usage_errors

_BLOCK = 4096  # expressions drawn at once, each block from its own stream: that is what keeps memory small


def main(argv: list[str]) -> None:
    """Draws and prints."""
    if len(argv) > 1:
        raise UsageError(f"{argv[1]!r}: no arguments are allowed, only flags (see --help)")
    with usage_errors():
        args = flags.FLAGS
        grammar = Grammar(args.min_depth, args.max_depth, args.num_variables, args.constants)
    n, seed = flags.FLAGS.n, flags.FLAGS.seed
    for block in range(-(-n // _BLOCK)):
        # Whole blocks are drawn even if fewer are wanted: the first lines must not depend on n.
        expressions = grammar.sample(_BLOCK, np.random.default_rng([seed, block]))
        lines = decode(expressions[: n - block * _BLOCK])
        sys.stdout.buffer.write(("\n".join(lines) + "\n").encode())


if __name__ == "__main__":  # not on import, since commands share names of flags
    from launch import cli

    flags.DEFINE_integer("n", 1000, "Number of expressions.", lower_bound=0)
    flags.DEFINE_integer("min_depth", 1, "Every leaf lies at least this deep, in operators.")
    flags.DEFINE_integer("max_depth", 5, "And at most this deep: min_depth to 12.")
    flags.DEFINE_integer("num_variables", 0, "Variables among the leaves: none, or the first of p, q, r, s.")
    flags.DEFINE_bool("constants", True, "Whether True and False are among the leaves.")
    flags.DEFINE_integer("seed", 0, "Seed of the random draws.", lower_bound=0)
    cli.run(main)
