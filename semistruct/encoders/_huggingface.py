"""Encoders of texts from the library transformers.

Letters: B rows, L tokens of a row, D width of a token.
"""

from __future__ import annotations

import copy
from contextlib import suppress
from types import ModuleType
from typing import Any, ClassVar

from torch import Tensor, nn

from semistruct._core.torchvision import import_torchvision
from semistruct._core.validation import check_choice
from semistruct.encoders._base import Encoder
from semistruct.encoders._text import masked_mean
from semistruct.exceptions import DependencyError, ParameterError

__all__ = ["HuggingFace"]

_OWNER = "HuggingFace"
_UNREADABLE = (OSError, ValueError, KeyError, RuntimeError)


class HuggingFace(Encoder):
    """A text encoder of the library transformers, and a linear head.

    It reads ids of its own tokenizer: the column is to be read by
    ``TextColumn.fit(series, owner=…, tokenizer=encoder.load_tokenizer())``.

    Parameters
    ----------
    model : str or transformers.PreTrainedModel
        Name or folder of a model, or a model; a model is copied, never changed.
    tokenizer : str or transformers.PreTrainedTokenizerFast, optional
        Name or folder of a fast tokenizer, or the tokenizer. Default: that of the
        model's name.
    pooling : {"mean", "cls"}, default="mean"
        What a text's features are: the mean over its tokens of the last states, or the
        last state of the first token.
    freeze : {"none", "all"} or int, default="none"
        What is not trained: nothing, the whole model, or for an int k all but its
        blocks from the k-th on, counted from 0. A frozen model has no dropout.
    output_dim : int, default=16
        Length q of the latent vector, at least 1.
    dropout : float, default=0.1
        Share of the features that are dropped in training, in [0, 1); the dropout
        inside the model is its own.
    weights : {"DEFAULT"}, optional
        ``"DEFAULT"``: the weights under the model's name, or of the model. None: random
        ones.

    Notes
    -----
    A pooling layer of the model's own takes no part and is not trained. A model that is
    given as an object is code and is not stored in a saved state; by its name it is.

    Examples
    --------
    >>> from semistruct.encoders import HuggingFace
    >>> HuggingFace("distilbert-base-uncased", freeze="all", output_dim=8)
    HuggingFace(freeze='all', model='distilbert-base-uncased', output_dim=8)
    """

    needs: ClassVar[tuple[str, ...]] = ("pad_id",)

    def __init__(
        self,
        model: Any = None,
        tokenizer: Any = None,
        pooling: str = "mean",
        freeze: str | int = "none",
        output_dim: int = 16,
        dropout: float = 0.1,
        weights: str | None = "DEFAULT",
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.pooling = pooling
        self.freeze = freeze
        self.output_dim = output_dim
        self.dropout = dropout
        self.weights = weights

    def build(
        self, input_shape: tuple[int, ...], pad_id: int | None = None
    ) -> nn.Module:
        """Make a module that maps ids (B, L) to (B, output_dim).

        Parameters
        ----------
        input_shape : tuple of one int
            (L,), the number of tokens.
        pad_id : int, optional
            Id of padding; by default that of the model's configuration, or 0.

        Returns
        -------
        torch.nn.Module
            ``features`` maps to (B, D), and ``head`` is linear.

        Raises
        ------
        ParameterError
            If a parameter has a value that it may not have, or the model cannot be
            loaded.
        DependencyError
            If the package transformers is not installed.
        """
        self._check_common(self.dropout)
        self._check_rank(input_shape, 1, "(L,), the number of tokens")
        kinds = ("mean", "cls")
        check_choice(self.pooling, kinds, parameter="pooling", owner=_OWNER)
        check_choice(self.weights, ("DEFAULT", None), parameter="weights", owner=_OWNER)
        model = self._model()
        frozen = _freeze(model, self.freeze)
        if pad_id is None:
            pad_id = getattr(model.config, "pad_token_id", None)
        return _HuggingFaceNet(
            model,
            nn.Linear(model.config.hidden_size, self.output_dim),
            pad_id=0 if pad_id is None else pad_id,
            dropout=self.dropout,
            mean=self.pooling == "mean",
            frozen=frozen,
        )

    def load_tokenizer(self) -> Any:
        """Give the tokenizer that the column is to be read by.

        Returns
        -------
        transformers.PreTrainedTokenizerFast

        Raises
        ------
        ParameterError
            If there is none, or it cannot be loaded.
        """
        source = self.model if self.tokenizer is None else self.tokenizer
        if hasattr(source, "backend_tokenizer"):
            return source
        if not isinstance(source, str):
            raise ParameterError(
                parameter="tokenizer",
                owner=_OWNER,
                allowed="the name of a fast tokenizer or the tokenizer, where the "
                "model is given as an object",
                given=self.tokenizer,
            )
        library = _import_transformers()
        try:
            found = library.AutoTokenizer.from_pretrained(source)
        except _UNREADABLE as error:
            raise _unreadable("tokenizer", source, error) from error
        if not hasattr(found, "backend_tokenizer"):
            raise ParameterError(
                parameter="tokenizer",
                owner=_OWNER,
                allowed="a fast tokenizer",
                given=source,
            )
        return found

    def _model(self) -> Any:
        library = _import_transformers()
        if isinstance(self.model, library.PreTrainedModel):
            if self.weights is None:
                return type(self.model)(copy.deepcopy(self.model.config))
            return copy.deepcopy(self.model)
        if not isinstance(self.model, str):
            raise ParameterError(
                parameter="model",
                owner=_OWNER,
                allowed="the name or the folder of a model of transformers, or such a "
                "model",
                given=self.model,
            )
        try:
            if self.weights is None:
                config = library.AutoConfig.from_pretrained(self.model)
                return library.AutoModel.from_config(config)
            return library.AutoModel.from_pretrained(self.model)
        except _UNREADABLE as error:
            raise _unreadable("model", self.model, error) from error


class _HuggingFaceNet(nn.Module):
    """The module of `HuggingFace`."""

    def __init__(
        self,
        model: nn.Module,
        head: nn.Linear,
        *,
        pad_id: int,
        dropout: float,
        mean: bool,
        frozen: bool,
    ) -> None:
        super().__init__()
        self.model = model
        self.head = head
        self.dropout = nn.Dropout(dropout)
        self.pad_id, self.mean, self.frozen = pad_id, mean, frozen
        self.train()

    def train(self, mode: bool = True) -> _HuggingFaceNet:
        """Set the mode; a model that is frozen stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.model.eval()
        return self

    def features(self, ids: Tensor) -> Tensor:
        """Map ids (B, L) to (B, D)."""
        ids = ids.long()
        present = ids != self.pad_id
        present[:, 0] = True  # so that each row has a token
        output = self.model(input_ids=ids, attention_mask=present.long())
        states = output.last_hidden_state  # (B, L, D)
        return masked_mean(states, present) if self.mean else states[:, 0]

    def forward(self, ids: Tensor) -> Tensor:
        """Map ids (B, L) to (B, q)."""
        return self.head(self.dropout(self.features(ids)))


def _freeze(model: nn.Module, freeze: Any) -> bool:
    """Freeze a model in place; tell whether nothing of it is trained."""
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList)]
    blocks = max(lists, key=_size, default=nn.ModuleList())
    whole = isinstance(freeze, int) and not isinstance(freeze, bool)
    if whole and 0 <= freeze <= len(blocks):
        model.requires_grad_(False)
        blocks[freeze:].requires_grad_(True)
        return freeze == len(blocks)
    if not isinstance(freeze, str) or freeze not in ("none", "all"):
        raise ParameterError(
            parameter="freeze",
            owner=_OWNER,
            allowed=f"'none', 'all' or how many of its {len(blocks)} blocks, the first "
            "ones, are not trained",
            given=freeze,
        )
    model.requires_grad_(freeze == "none")
    pooler = getattr(model, "pooler", None)
    if isinstance(pooler, nn.Module):
        pooler.requires_grad_(False)
    return freeze == "all"


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _unreadable(parameter: str, given: str, error: Exception) -> ParameterError:
    return ParameterError(
        parameter=parameter,
        owner=_OWNER,
        allowed="a name that transformers can find, or a folder",
        given=given,
        hint=f"Loading failed: {str(error).splitlines()[0] if str(error) else error!r}",
    )


def _import_transformers() -> ModuleType:
    with suppress(DependencyError):
        import_torchvision(_OWNER)  # transformers imports it where it is installed
    try:
        import transformers
        from transformers import PreTrainedModel  # noqa: F401  (lazy: it may fail)
    except (ImportError, RuntimeError) as error:
        raise DependencyError(
            f"{_OWNER} needs the package transformers, which is not installed or "
            f"cannot be imported ({error}). Install it with: pip install "
            "'semistruct[huggingface]'"
        ) from error
    return transformers
