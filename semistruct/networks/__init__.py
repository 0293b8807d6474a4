"""Networks: what predicts. Losses live in objectives."""

from semistruct.networks._semi_structured import NetworkOutput, SemiStructuredNetwork

__all__ = ["NetworkOutput", "SemiStructuredNetwork"]
