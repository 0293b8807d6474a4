"""What training borrows and gives back: device, random state, Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
def seeded(seed: int, device: torch.device) -> Iterator[torch.Generator]:
    """Seed torch within the block only; give a generator for the order of rows."""
    cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if cuda else []):
        torch.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        own = int(torch.randint(2**62, ()))  # not the stream of dropout
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
