"""Tokenizers of texts; the library of that name is imported where it is used."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from semistruct.exceptions import DependencyError, ParameterError

__all__ = [
    "LONGEST",
    "MARK",
    "encoded",
    "given_tokenizer",
    "import_tokenizers",
    "train_tokenizer",
]

MARK = "▁"  # stands before a word
LONGEST = 512  # tokens, where max_length is not given
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]")  # ids 0, 1, 2
_CHUNK = 4096  # texts that are tokenised at once
_THREADS = "TOKENIZERS_PARALLELISM"


def train_tokenizer(
    library: ModuleType, texts: Sequence[str], vocabulary: int, lower: bool
) -> Any:
    """Train a tokenizer.

    Plain byte pair encoding: that of WordPiece depends on the order of a hash map, and
    differs from run to run.
    """
    normalizers, splits = library.normalizers, library.pre_tokenizers
    backend = library.Tokenizer(library.models.BPE(unk_token="[UNK]"))
    steps = [normalizers.NFKC(), *([normalizers.Lowercase()] if lower else [])]
    blank = normalizers.Replace(library.Regex(r"\s+"), " ")
    backend.normalizer = normalizers.Sequence([*steps, blank, normalizers.Strip()])
    backend.pre_tokenizer = splits.Sequence([splits.Metaspace(), splits.Punctuation()])
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=list(_SPECIAL),
        show_progress=False,
    )
    with _one_thread():
        backend.train_from_iterator(texts, trainer)
    backend.post_processor = library.processors.TemplateProcessing(
        single="[CLS] $A", special_tokens=[("[CLS]", 2)]
    )
    return backend


def given_tokenizer(
    library: ModuleType, tokenizer: Any, owner: str
) -> tuple[Any, int, int]:
    """Copy a tokenizer; give with it the id of padding and how many tokens it takes."""
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not isinstance(backend, library.Tokenizer):
        raise ParameterError(
            parameter="tokenizer",
            owner=owner,
            allowed="a tokenizers.Tokenizer or a fast tokenizer of transformers",
            given=tokenizer,
        )
    if backend is tokenizer:
        pad_id = (backend.padding or {}).get("pad_id", backend.token_to_id("[PAD]"))
    else:
        pad_id = tokenizer.pad_token_id
    if pad_id is None:
        raise ParameterError(
            parameter="tokenizer",
            owner=owner,
            allowed="a tokenizer that has a token for padding",
            given=tokenizer,
            hint="For transformers set tokenizer.pad_token = tokenizer.eos_token.",
        )
    limit = getattr(tokenizer, "model_max_length", LONGEST)
    copied = library.Tokenizer.from_str(backend.to_str())
    return copied, pad_id, min(LONGEST, int(min(limit, LONGEST)))


def encoded(backend: Any, texts: Sequence[str]) -> Iterator[list[Any]]:
    """Tokenise texts, many at a time."""
    for i in range(0, len(texts), _CHUNK):
        with _one_thread():
            part = backend.encode_batch_fast(texts[i : i + _CHUNK])
        yield part


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let the library work in one thread unless the environment says otherwise.

    Once it has used several, it writes to stderr in each process that is forked.
    """
    if _THREADS in os.environ:
        yield
        return
    os.environ[_THREADS] = "false"
    try:
        yield
    finally:
        del os.environ[_THREADS]


def import_tokenizers(owner: str) -> ModuleType:
    try:
        import tokenizers
    except ImportError as error:
        raise DependencyError(
            f"{owner} needs the package tokenizers, which is not installed. Install it "
            "with: pip install 'semistruct[text]'"
        ) from error
    return tokenizers
