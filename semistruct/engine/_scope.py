"""What training borrows and gives back: device, random state, Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType

import torch
from torch import nn

from semistruct.engine._callbacks import TrainState


@contextmanager
def on_device(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Move a module to a device, and at the end back to where it was."""
    first = next(module.parameters(), None)
    origin = device if first is None else first.device
    module.to(device)
    try:
        yield
    finally:
        module.to(origin)


@contextmanager
def bounded_threads(processes: int = 1) -> Iterator[None]:
    """Keep torch to one thread for each core of this process within the block.

    Hardware threads of one core do not count twice, and the cores are shared by the
    processes of this machine. Where ``OMP_NUM_THREADS`` is set, nothing is done.
    """
    before = torch.get_num_threads()
    bound = max(1, physical_cores(usable_cpus()) // processes)
    if "OMP_NUM_THREADS" in os.environ or before <= bound:
        yield
        return
    torch.set_num_threads(bound)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def usable_cpus() -> frozenset[int]:
    """Give the numbers of the CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


@cache
def physical_cores(cpus: frozenset[int], root: str = "/sys/devices/system/cpu") -> int:
    """Count the cores behind CPUs; each CPU is one where the system does not say."""
    cores = set()
    for cpu in cpus:
        siblings = Path(root, f"cpu{cpu}", "topology", "thread_siblings_list")
        try:
            cores.add(siblings.read_text(encoding="ascii").strip())
        except OSError:
            cores.add(str(cpu))
    return len(cores)


@contextmanager
def seeded(seed: int, device: torch.device, rank: int = 0) -> Iterator[torch.Generator]:
    """Seed torch within the block only; give a generator for the order of rows.

    All processes have the same order, and dropout of their own.
    """
    cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if cuda else []):
        torch.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        own = int(torch.randint(2**62, ()))  # not the stream of dropout
        if rank > 0:
            torch.default_generator.manual_seed((own + rank) % 2**62)
            if cuda:
                with torch.cuda.device(device):
                    torch.cuda.manual_seed((own + rank) % 2**62)
        yield torch.Generator().manual_seed(own)


@contextmanager
def interruptible(state: TrainState) -> Iterator[None]:
    """Let the first Ctrl-C ask for an end and the second raise KeyboardInterrupt.

    Only in the main thread, and not where Ctrl-C is ignored already; the handler that
    was there before comes back in any case.
    """
    before = signal.getsignal(signal.SIGINT)
    main = threading.current_thread() is threading.main_thread()
    if not main or before is None or before is signal.SIG_IGN:
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if state.interrupted:
            raise KeyboardInterrupt
        state.interrupted = state.stop = True

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
