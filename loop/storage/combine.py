"""One table of the metrics of several directories: those of a sweep's settings, or of a run's shards."""

import functools
import json

from loop.cell import KEYS
from loop.storage.metrics_files import write_rows
from loop.storage.reader import RunReader
from loop.storage.shards import ShardedRun


def combine_metrics(run: RunReader) -> None:
    """Writes the metrics of all settings in one table, with a column for every axis after the keys; of a run in shards,
    those of all shards, in every setting as well. Whoever writes last writes all, however many do so at once."""
    if run.axes():
        if isinstance(run, ShardedRun):
            for setting in run.settings():
                combine_metrics(setting)
        _combine_settings(run)
        return
    written = ""
    while written != (now := json.dumps(rows := run.rows())):  # a shard may have ended since they were read
        write_rows(run.path, rows, run.columns())
        written = now


def _combine_settings(run: RunReader) -> None:
    fields = [field for field, _ in run.axes()]
    rows, columns = [], dict.fromkeys(KEYS)
    for setting in run.settings():
        config = setting.config()["config"]
        values = {field: functools.reduce(lambda c, name: c[name], field.split("."), config) for field in fields}
        rows += [{**row, **values} for row in setting.rows()]
        columns |= dict.fromkeys([*fields, *setting.columns()])
    write_rows(run.path, rows, list(columns))
