"""Makes a run's report, or a comparison of several runs: report/index.html, with figures and tables beside it.

    python -m eval.report --workdir=DIR [DIR2 …]

Runs whose configurations differ only in the sweep (other cycles, fresh ratios, seeds) make one analysis of all cells.
The report lies in DIR; its path is printed. A run that is still going can be reported on at any time.
"""

import contextlib
import errno

from absl import flags

from eval.report.build import build_report
from logic.errors import UsageError
from loop.storage.combine import combine_metrics
from loop.storage.shards import ShardedRun, open_run


def main(argv: list[str]) -> None:
    """Builds the report of the runs that the flag and the arguments name, and the one table of a run in shards."""
    named = [flags.FLAGS.workdir, *argv[1:]] if flags.FLAGS.workdir else argv[1:]
    if not named:
        raise UsageError("--workdir is missing: name the directory of a run")
    directories = [open_run(name) for name in named]
    for directory in directories:
        if isinstance(directory, ShardedRun):
            with contextlib.suppress(OSError):  # of another user, to be compared with: the rows are read anyway
                combine_metrics(directory)
    try:
        print(build_report(directories))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # no mistake: launch/cli.py
        raise UsageError(f"the report cannot be written: {error}") from None


if __name__ == "__main__":
    from launch import cli

    # Here, since launch.main has a flag of this name and imports this module.
    flags.DEFINE_string("workdir", None, "directory of a run; further ones follow as arguments, to compare them")
    cli.run(main)
