"""Scripts that write reference numbers are no tests: they need other programs."""

collect_ignore_glob = ["make_*.py"]
