"""What all tests share: hypothesis draws the same examples each time, at any speed."""

from hypothesis import settings

settings.register_profile(
    "semistruct", derandomize=True, database=None, deadline=None, max_examples=60
)
settings.load_profile("semistruct")
