"""`--distributed`: several processes, on one host or many, as one program; how they begin and how they end.

JAX's own runtime connects them. Under Slurm (in srun), Open MPI, on TPU pods and on Kubernetes it finds them by itself;
elsewhere each is told: --coordinator=HOST:PORT --num_processes=N --process_id=I. That there are several cannot be seen
on Kubernetes, and on TPU pods without TPU_WORKER_HOSTNAMES: there --distributed=on is needed.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator, Mapping

from logic.errors import UsageError

LOST = 76  # exit status when another process is gone
_HEARTBEAT = 20  # seconds without a sign of life after which a process counts as lost
_SHUTDOWN = 3_600  # seconds that the others wait for the first one's report
_PATIENCE = 5.0  # seconds that the others may take to come before they are waited for aloud
_GRACE = 5.0  # seconds in which the others can come to the same error

# Where one of these gives a number above one, or a list of several hosts, a cluster has started several processes.
_COUNTS = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
_LISTS = ("TPU_WORKER_HOSTNAMES",)


def several_started(environment: Mapping[str, str]) -> bool:
    """Whether a cluster has started this process as one of several; it is not told so by JAX without connecting."""
    counts = [environment.get(name, "") for name in _COUNTS]
    if "SLURM_STEP_NUM_TASKS" in environment and "SLURM_PROCID" not in environment:
        counts = counts[1:]
    lists = [environment.get(name, "") for name in _LISTS]
    return any(n.isdecimal() and int(n) > 1 for n in counts) or any("," in hosts for hosts in lists)


@contextlib.contextmanager
def processes(mode: str, coordinator: str, num_processes: int | None, process_id: int | None) -> Iterator[None]:
    """Connects this process with the others as `mode` says: auto, on, off. To be entered before JAX sees a device.

    On leaving, processes that end in the same way wait for each other. One that fails does not: the others notice.
    """
    told = {"coordinator": coordinator or None, "num_processes": num_processes, "process_id": process_id}
    given = [f"--{name}" for name, value in told.items() if value is not None]
    if given and len(given) < len(told):
        raise UsageError(f"{' '.join(given)}: --coordinator, --num_processes and --process_id go together")
    host, _, port = coordinator.rpartition(":")
    if given and not (host and port.isdecimal() and 0 < int(port) < 65_536):
        raise UsageError(f"--coordinator={coordinator}: allowed is HOST:PORT of process 0, such as node1:1234")
    if given and mode == "off":
        raise UsageError(f"--distributed=off with {given[0]}: allowed are auto and on")
    if mode == "off" or (mode == "auto" and not given and not several_started(os.environ)):
        yield
        return
    import jax

    jax.config.update(
        "jax_enable_preemption_service", False
    )  # launch/signals.py hears, loop/training/multihost.py agrees
    waiting = threading.Timer(_PATIENCE, _tell_who_is_missing, [num_processes])
    waiting.daemon = True
    waiting.start()
    try:
        jax.distributed.initialize(
            coordinator_address=coordinator or None,
            num_processes=num_processes,
            process_id=process_id,
            cluster_detection_method="deactivate" if given else None,
            heartbeat_timeout_seconds=_HEARTBEAT,
            shutdown_timeout_seconds=_SHUTDOWN,
        )
    except (ValueError, RuntimeError) as error:  # of JAX: nothing is known of the others, or they do not answer
        raise UsageError(f"--distributed={mode}: {error}") from error
    finally:
        waiting.cancel()
    _keep_stdout_for_data()
    try:
        yield
    except SystemExit as leaving:
        _flush()
        if leaving.code not in (None, 0, 1, 75):  # those are alike in all processes
            os._exit(leaving.code if isinstance(leaving.code, int) else 1)
        jax.distributed.shutdown()
        raise
    except UsageError as error:
        print(f"launch.main: {' '.join(str(error).split())}", file=sys.stderr)
        _leave_with_the_others(2)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        _flush()
        os._exit(1)
    else:
        jax.distributed.shutdown()


def _tell_who_is_missing(num_processes: int | None) -> None:
    counts = {name: os.environ[name] for name in _COUNTS if os.environ.get(name, "").isdecimal()}
    count = num_processes or next((int(n) for n in counts.values() if int(n) > 1), None)
    found = "" if num_processes else "".join(f" ({name}={n})" for name, n in counts.items())
    others = f"the other {count - 1} of {count} processes" if count else "the other processes"
    print(f"launch.main: waiting for {others}{found}; alone: --distributed=off", file=sys.stderr, flush=True)


def _leave_with_the_others(status: int) -> None:
    """Ends at once if the others come to the same end, or after a while."""
    import jax

    _flush()
    end = threading.Thread(target=jax.distributed.shutdown, daemon=True)
    end.start()
    end.join(_GRACE)
    os._exit(status)


def _keep_stdout_for_data() -> None:
    """Gloo tells standard output whom it is connected with: from here on that goes to standard error."""
    sys.stdout.flush()
    data = os.fdopen(os.dup(1), "w", encoding=sys.stdout.encoding, errors="backslashreplace")
    os.dup2(2, 1)
    sys.stdout = data


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
