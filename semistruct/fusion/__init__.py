"""Fusion of parts: the deep and the structured one, kept apart by orthogonalisation."""

from semistruct.fusion._orthogonalize import apply_projection, fit_projection

__all__ = ["apply_projection", "fit_projection"]
