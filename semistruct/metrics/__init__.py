"""Measures of predictions that scikit-learn does not have."""

from semistruct.metrics._concordance import concordance_index

__all__ = ["concordance_index"]
