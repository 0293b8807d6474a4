"""Where batches come from: tensors in memory, or rows that are read when needed."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from semistruct._core.validation import suggest
from semistruct.exceptions import DataError, ParameterError

UNREADABLE = ":unreadable"  # ends the keys under which rows report
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

    def take(self, pieces: Sequence[Tensor]) -> Iterator[dict[str, Tensor]]:
        """Give one batch for each piece, a tensor of row numbers."""
        ...

    def labels(self, name: str) -> Tensor:
        """Give an entry of all rows, (n,), on the CPU, without reading the others."""
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

    def labels(self, name: str) -> Tensor:
        """Give an entry of all rows.

        Parameters
        ----------
        name : str
            Such as ``"event"``.

        Returns
        -------
        Tensor of shape (n,)
            On the CPU.

        Raises
        ------
        ParameterError
            When the rows have no such entry, or it is not one value for each row.
        """
        return _labels(self.tensors, name)

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
        yield from self.take(order.tensor_split(_count(len(order), batch_size)))

    def take(self, pieces: Sequence[Tensor]) -> Iterator[dict[str, Tensor]]:
        """Give one batch for each piece.

        Parameters
        ----------
        pieces : sequence of Tensor of int64
            Row numbers.

        Yields
        ------
        dict of str to Tensor
        """
        items = self.tensors.items()
        device = next(iter(self.tensors.values())).device
        for i in range(0, len(pieces), _GATHERED):
            few = pieces[i : i + _GATHERED]
            rows, sizes = torch.cat(list(few)).to(device), [len(p) for p in few]
            parts = {k: t.index_select(0, rows).split(sizes) for k, t in items}
            for j in range(len(few)):
                yield {name: split[j] for name, split in parts.items()}

    def digest(self) -> str:
        """Give a digest of all names and values, by which a checkpoint knows its data.

        Returns
        -------
        str
        """
        return _digest(self.tensors)


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

    Attributes
    ----------
    unreadable : dict of str to None
        Messages about rows that were masked since they could not be read, in the order
        in which they were met; see `MaskUnreadable`.

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
        self.unreadable: dict[str, None] = {}
        self._plan = _Plan()
        self._loader: DataLoader[dict[str, Tensor]] | None = None

    def __len__(self) -> int:
        return len(self.dataset)

    def labels(self, name: str) -> Tensor:
        """Give an entry of all rows, which the dataset must hold in memory.

        Parameters
        ----------
        name : str
            Such as ``"event"``.

        Returns
        -------
        Tensor of shape (n,)
            From the mapping ``tensors`` of the dataset, or of the dataset that it is a
            ``torch.utils.data.Subset`` of.

        Raises
        ------
        ParameterError
            When there is no such entry in memory.
        """
        dataset, rows = self.dataset, torch.arange(len(self))
        while isinstance(dataset, Subset):
            rows = torch.as_tensor(dataset.indices)[rows]
            dataset = dataset.dataset
        return _labels(getattr(dataset, "tensors", {}), name)[rows]

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
        moved = DatasetSource(
            self.dataset, self.num_workers, seed=self.seed, device=device
        )
        moved.unreadable = self.unreadable
        return moved

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
        yield from self.take(rows.tensor_split(_count(len(rows), batch_size)))

    def take(self, pieces: Sequence[Tensor]) -> Iterator[dict[str, Tensor]]:
        """Give one batch for each piece.

        Parameters
        ----------
        pieces : sequence of Tensor of int64
            Row numbers.

        Yields
        ------
        dict of str to Tensor
        """
        self._plan.pieces = pieces
        if self._loader is None:
            self._loader = self._make_loader()
        iterator = iter(self._loader)
        try:
            for batch in iterator:
                self._keep_reports(batch)
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

    def digest(self) -> str:
        """Give a digest by which a checkpoint knows its data.

        Returns
        -------
        str
            Of the dataset's own ``digest()`` where it has one, else of its length: rows
            on disk are not read for it.
        """
        own = getattr(self.dataset, "digest", None)
        return _hexed([str(len(self)), "" if own is None else own()])

    def _keep_reports(self, batch: dict[str, Any]) -> None:
        """Take the reports of unreadable rows out of a batch."""
        for key in [key for key in batch if key.endswith(UNREADABLE)]:
            self.unreadable.update(dict.fromkeys(filter(None, batch.pop(key))))

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
        self.pieces: Sequence[Tensor] = ()

    def __len__(self) -> int:
        return len(self.pieces)

    def __iter__(self) -> Iterator[list[int]]:
        for piece in self.pieces:
            yield piece.tolist()


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """Digest names, types, shapes and values."""
    whole = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(tensors.items()):
        whole.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        whole.update(flat.numpy().data)
    return whole.hexdigest()


def _hexed(words: Sequence[str]) -> str:
    return hashlib.blake2b("\0".join(words).encode(), digest_size=16).hexdigest()


def _labels(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    """Look up one value for each row."""
    found = tensors.get(name)
    if found is None or found.ndim != 1:
        known = [key for key, tensor in tensors.items() if tensor.ndim == 1]
        raise ParameterError(
            parameter="balance",
            owner="Training",
            allowed="an entry that the rows have in memory, one value for each row, "
            f"among {sorted(known)}",
            given=name,
            hint=suggest(name, known),
        )
    return found.cpu()


def _start_worker(worker: int) -> None:
    """Keep a worker to one thread, and leave Ctrl-C to the main process."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _count(n: int, batch_size: int) -> int:
    """Count batches of at most ``batch_size`` rows."""
    return max(1, -(-n // batch_size))
