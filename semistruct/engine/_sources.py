"""Where batches come from: tensors in memory, or rows that are read when needed."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from semistruct.exceptions import DataError

_GATHERED = 8  # batches that are gathered at a time and then sliced


class Source(Protocol):
    """What the engine asks of a source of rows."""

    def __len__(self) -> int:
        """Count the rows."""
        ...

    def batches(
        self, batch_size: int, order: Tensor | None = None
    ) -> Iterator[dict[str, Tensor]]:
        """Give all rows in batches, in an order of row numbers if there is one."""
        ...

    def to(self, device: torch.device) -> Source:
        """Give a source whose batches lie on a device."""
        ...


class TensorSource:
    """Rows that are in memory: batches are slices, no row is collated.

    Parameters
    ----------
    tensors : dict of str to Tensor
        Each with the same number n of rows as its first axis.

    Examples
    --------
    >>> import torch
    >>> from semistruct.engine import TensorSource
    >>> source = TensorSource({"x": torch.arange(5)})
    >>> [batch["x"].tolist() for batch in source.batches(2)]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        lengths = {name: len(tensor) for name, tensor in tensors.items()}
        if len(set(lengths.values())) != 1:
            raise DataError(
                "TensorSource: all tensors must have the same number of rows, "
                f"got {lengths}."
            )
        self.tensors = dict(tensors)
        self._n = next(iter(lengths.values()))

    def __len__(self) -> int:
        return self._n

    def to(self, device: torch.device) -> TensorSource:
        """Give the same rows on a device.

        Parameters
        ----------
        device : torch.device

        Returns
        -------
        TensorSource
        """
        return TensorSource({k: t.to(device) for k, t in self.tensors.items()})

    def batches(
        self, batch_size: int, order: Tensor | None = None
    ) -> Iterator[dict[str, Tensor]]:
        """Give all rows in batches of nearly equal size.

        Parameters
        ----------
        batch_size : int
            Rows in a batch, at most.
        order : Tensor of int64, optional
            Row numbers, on the CPU; as they are stored when not given.

        Yields
        ------
        dict of str to Tensor
        """
        items = self.tensors.items()
        if order is None:
            count = _count(self._n, batch_size)
            parts = {name: tensor.tensor_split(count) for name, tensor in items}
            for i in range(count):
                yield {name: pieces[i] for name, pieces in parts.items()}
            return
        order = order.to(next(iter(self.tensors.values())).device)
        pieces = order.tensor_split(_count(len(order), batch_size))
        for i in range(0, len(pieces), _GATHERED):
            few = pieces[i : i + _GATHERED]
            rows, sizes = torch.cat(few), [len(piece) for piece in few]
            parts = {k: t.index_select(0, rows).split(sizes) for k, t in items}
            for j in range(len(few)):
                yield {name: split[j] for name, split in parts.items()}


class DatasetSource:
    """Rows that are read when needed, such as images on disk, by a torch DataLoader.

    Parameters
    ----------
    dataset : torch.utils.data.Dataset
        Map-style; item i is a dict of tensors, arrays and numbers, row i.
    num_workers : int, default=0
        Processes that read; 0 reads in this one. They stay for the life of the object
        and run torch on one thread each.
    seed : int, default=0
        Seeds what is random in the workers.
    device : torch.device, optional
        Where batches go; the CPU when not given.

    Examples
    --------
    >>> from semistruct.engine import DatasetSource
    >>> source = DatasetSource([{"x": 1.0}, {"x": 2.0}, {"x": 3.0}])
    >>> [batch["x"].tolist() for batch in source.batches(2)]
    [[1.0, 2.0], [3.0]]
    """

    def __init__(
        self,
        dataset: Any,
        num_workers: int = 0,
        *,
        seed: int = 0,
        device: torch.device | None = None,
    ) -> None:
        self.dataset = dataset
        self.num_workers = num_workers
        self.seed = seed
        self.device = torch.device("cpu") if device is None else device
        self._plan = _Plan()
        self._loader: DataLoader[dict[str, Tensor]] | None = None

    def __len__(self) -> int:
        return len(self.dataset)

    def to(self, device: torch.device) -> DatasetSource:
        """Give a source of the same rows whose batches lie on a device.

        Parameters
        ----------
        device : torch.device

        Returns
        -------
        DatasetSource
            Its workers are its own, and end with it.
        """
        return DatasetSource(
            self.dataset, self.num_workers, seed=self.seed, device=device
        )

    def batches(
        self, batch_size: int, order: Tensor | None = None
    ) -> Iterator[dict[str, Tensor]]:
        """Give all rows in batches of nearly equal size.

        Parameters
        ----------
        batch_size : int
            Rows in a batch, at most.
        order : Tensor of int64, optional
            Row numbers; 0 … n − 1 when not given.

        Yields
        ------
        dict of str to Tensor
        """
        rows = torch.arange(len(self)) if order is None else order
        self._plan.pieces = rows.tensor_split(_count(len(rows), batch_size))
        if self._loader is None:
            self._loader = self._make_loader()
        iterator = iter(self._loader)
        try:
            for batch in iterator:
                yield {
                    name: tensor.to(self.device, non_blocking=True)
                    for name, tensor in batch.items()
                }
        except Exception:
            # a traceback would keep the workers alive until some garbage collection,
            # which then waits seconds for them
            self._loader = None
            if self.num_workers > 0:
                iterator.__del__()  # type: ignore[attr-defined]
            raise

    def _make_loader(self) -> DataLoader[dict[str, Tensor]]:
        return DataLoader(
            self.dataset,
            batch_sampler=self._plan,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=_start_worker,
            generator=torch.Generator().manual_seed(self.seed),
        )


class _Plan:
    """Batch sampler whose batches are set anew for each epoch; the workers stay."""

    def __init__(self) -> None:
        self.pieces: tuple[Tensor, ...] = ()

    def __len__(self) -> int:
        return len(self.pieces)

    def __iter__(self) -> Iterator[list[int]]:
        for piece in self.pieces:
            yield piece.tolist()


def _start_worker(worker: int) -> None:
    """Keep a worker to one thread, and leave Ctrl-C to the main process."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _count(n: int, batch_size: int) -> int:
    """Count batches of at most ``batch_size`` rows."""
    return max(1, -(-n // batch_size))
