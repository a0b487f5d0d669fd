"""Verdicts and truth tables of many strings against Python's parser and against SymPy; the suite takes fewer.

python -m tests.stress.truth [STRINGS [OF THEM FOR SYMPY]]
"""

import sys
import time

from logic.boolean.grammar import Grammar
from tests.logic.boolean.verifier_test import check, check_sympy, strings_with_variables


def main(n: int = 100_000, for_sympy: int = 5_000) -> None:
    """Stops at the first difference."""
    for num_variables in range(5):
        grammar, start = Grammar(1, 4, num_variables), time.monotonic()
        strings = strings_with_variables(n, grammar, 100 + num_variables)
        syntactic, semantic, in_support = check(strings, grammar).sum(axis=1).tolist()
        check_sympy(strings_with_variables(for_sympy, grammar, 200 + num_variables), num_variables)
        print(
            f"{num_variables} variables: {len(strings)} as Python says ({syntactic} syntactic, {semantic} true, "
            f"{in_support} in the support), {for_sympy} as SymPy says; {time.monotonic() - start:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
