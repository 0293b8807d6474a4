"""Augmentation of images, each with a draw of its own, on the device they lie on.

Letters: B images, C channels, H height, W width, d uniform numbers for an image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn
from torch.quasirandom import SobolEngine

from semistruct._core.torchvision import import_torchvision
from semistruct._core.validation import check_number, suggest
from semistruct.encoders._warp import TRANSFORMS, Draw, apply, merge
from semistruct.exceptions import ParameterError

__all__ = ["Augment", "Augmented", "augmented"]

_OWNER = "Augment"


class Augment(BaseEstimator):
    """Random changes of training images that leave their meaning as it is.

    They act in training only. In evaluation an image comes as it is, or, with
    ``test_draws``, the latent vectors of several versions of it are averaged; the
    versions are the same ones in every call and for every image, so that a prediction
    depends on nothing else.

    Parameters
    ----------
    transforms : str, callable or sequence of them, default="flip"
        Names: ``"flip"`` (left and right, for every second image), ``"vertical_flip"``,
        ``"crop"`` (a window of 75 to 100 % of the side, enlarged), ``"rotate"`` (up to
        15°), ``"jitter"`` (contrast up to 25 %, brightness up to 0.25 standard
        deviations of the column), ``"randaugment"`` (two of: nothing, rotation up to
        30°, shears up to 0.3, shifts up to 20 %, brightness and contrast up to 40 %).
        Named ones are merged and run once over the batch, each image with its own
        draw. Then, image by image and in their order: classes of
        ``torchvision.transforms.v2`` by their name (``"AutoAugment"``), objects of it,
        or any callable from (C, H, W) to (C, H, W).
    strength : float, default=1.0
        Multiplies the ranges of named transforms, in (0, 3].
    test_draws : int, default=1
        Versions of an image that a prediction is averaged over, at least 1. The first
        is the image as it is; for ``"flip"`` the second is its mirror image.

    Notes
    -----
    Torch's generator draws, which the engine seeds. Versions for prediction follow a
    Sobol sequence, whose first point leaves the image unchanged; for other callables
    they follow torch's generator with fixed seeds. Callables get the image stretched to
    [0, 1] by its own minimum and maximum, since they expect that range; what they give
    is stretched back.

    ``"randaugment"`` is RandAugment (Cubuk et al. 2020,
    doi:10.1109/CVPRW50498.2020.00359) with the operations that hold for standardised
    numbers.

    Examples
    --------
    >>> import torch
    >>> from semistruct.encoders import CNN, Augment
    >>> encoder = CNN(augment=Augment(["flip", "rotate"], test_draws=4))
    >>> module = encoder.build((1, 16, 16)).eval()
    >>> module(torch.zeros(5, 1, 16, 16)).shape
    torch.Size([5, 16])
    """

    def __init__(
        self,
        transforms: Any = "flip",
        strength: float = 1.0,
        test_draws: int = 1,
    ) -> None:
        self.transforms = transforms
        self.strength = strength
        self.test_draws = test_draws

    def check(self) -> None:
        """Check the parameters.

        Raises
        ------
        ParameterError
            Which parameter has a value that it may not have.
        """
        check_number(
            self.strength,
            parameter="strength",
            owner=_OWNER,
            low=0,
            high=3,
            closed="right",
        )
        check_number(
            self.test_draws, parameter="test_draws", owner=_OWNER, low=1, integer=True
        )
        if not _listed(self.transforms):
            raise _refused(self.transforms, "The sequence is empty.")
        for item in _listed(self.transforms):
            if not (isinstance(item, str) or callable(item)) or isinstance(item, type):
                raise _refused(item)


def augmented(module: nn.Module, augment: Any) -> nn.Module:
    """Put augmentation before a module; the module itself where there is none.

    Parameters
    ----------
    module : torch.nn.Module
        Maps (B, C, H, W) to (B, q).
    augment : Augment, str, callable, sequence of them, or None
        What `Augment` takes as ``transforms``, or an `Augment`.
    """
    if augment is None:
        return module
    if isinstance(augment, type):
        raise _refused(augment)
    return Augmented(
        module, augment if isinstance(augment, Augment) else Augment(augment)
    )


class Augmented(nn.Module):
    """A module whose training images are changed at random before it sees them.

    Parameters
    ----------
    module : torch.nn.Module
        Maps (B, C, H, W) to (B, q).
    augment : Augment
        The changes.

    Raises
    ------
    ParameterError
        If a parameter of the augmentation has a value that it may not have.
    """

    def __init__(self, module: nn.Module, augment: Augment) -> None:
        super().__init__()
        augment.check()
        items = _listed(augment.transforms)
        self.module = module
        self._named = [TRANSFORMS[i] for i in items if _is_ours(i)]
        self._each = [_callable(i) for i in items if not _is_ours(i)]
        self._strength = float(augment.strength)
        self._test_draws = int(augment.test_draws)

    @property
    def maps(self) -> Any:
        """The part of the module that gives feature maps."""
        return self.module.maps

    @property
    def head(self) -> Any:
        """The linear head of the module."""
        return self.module.head

    def features(self, images: Tensor) -> Tensor:
        """Features of images as they are: (B, C, H, W) to (B, F)."""
        features: Any = self.module.features
        return features(images)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, q)."""
        if self.training:
            return self.module(self._drawn(images))
        total = self.module(images)
        for k in range(1, self._test_draws):
            total = total + self.module(self._variant(images, k))
        return total / self._test_draws

    def _drawn(self, images: Tensor) -> Tensor:
        """Change each image by a draw of its own."""
        if self._named and len(images):
            u = torch.rand(len(images), self._numbers, device=images.device)
            images = apply(images, self._draw(u, images))
        if not self._each:
            return images
        return torch.stack([self._call(image) for image in images])

    def _variant(self, images: Tensor, k: int) -> Tensor:
        """Change all images alike, by the k-th version."""
        if self._named:
            points = SobolEngine(self._numbers).fast_forward(k).draw(1)
            images = apply(images, self._draw(points.to(images.device), images))
        if not self._each:
            return images
        changed = []
        for image in images:
            with _seeded(k, image.device):
                changed.append(self._call(image))
        return torch.stack(changed)

    @property
    def _numbers(self) -> int:
        return sum(transform.numbers for transform in self._named)

    def _draw(self, u: Tensor, images: Tensor) -> Draw:
        """Merge what the named transforms make of u (m, d)."""
        height, width = images.shape[2:]
        parts = u.split([transform.numbers for transform in self._named], dim=1)
        return merge(
            [
                transform.draw(part, (height, width), self._strength)
                for transform, part in zip(self._named, parts, strict=True)
            ]
        )

    def _call(self, image: Tensor) -> Tensor:
        """Run the callables over one image (C, H, W), stretched to [0, 1]."""
        low, high = image.aminmax()
        span = (high - low).clamp_min(torch.finfo(image.dtype).tiny)
        changed = (image - low) / span
        for call in self._each:
            changed = call(changed)
            if not isinstance(changed, Tensor) or changed.shape != image.shape:
                shape = tuple(getattr(changed, "shape", ()))
                raise _refused(
                    call, f"For an image of {tuple(image.shape)} it gave {shape}."
                )
        return changed * span + low


def _listed(transforms: Any) -> list[Any]:
    if isinstance(transforms, Sequence) and not isinstance(transforms, str):
        return list(transforms)
    return [transforms]


def _is_ours(item: Any) -> bool:
    return isinstance(item, str) and item in TRANSFORMS


def _callable(item: Any) -> Callable[[Tensor], Tensor]:
    """Give a callable as it is, and make the one that a name of torchvision means."""
    if not isinstance(item, str):
        return item
    if not item[:1].isupper():
        raise _refused(item, suggest(item, TRANSFORMS))
    v2 = import_torchvision(f"Augment({item!r})").transforms.v2
    found = getattr(v2, item, None)
    if not isinstance(found, type):
        classes = [name for name in dir(v2) if name[:1].isupper()]
        raise _refused(item, suggest(item, [*TRANSFORMS, *classes]))
    try:
        return found()
    except TypeError as error:
        raise _refused(
            item, f"It needs arguments ({error}); give the object instead."
        ) from error


def _refused(item: Any, hint: str = "") -> ParameterError:
    known = ", ".join(repr(name) for name in TRANSFORMS)
    return ParameterError(
        parameter="transforms",
        owner=_OWNER,
        allowed=f"one of {known}, the name of a class of torchvision.transforms.v2, a "
        "callable that keeps the shape (C, H, W), or a sequence of them",
        given=item,
        hint=hint,
    )


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch within the block only."""
    cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if cuda else []):
        torch.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
