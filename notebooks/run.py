"""Executes each notebook of this folder in a fresh kernel; any error ends it.

The outputs are written into the notebook, so that the stored page shows a true run.
"""

import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent


def main() -> int:
    for path in sorted(FOLDER.glob("*.ipynb")):
        started = time.perf_counter()
        notebook = nbformat.read(path, as_version=4)
        resources = {"metadata": {"path": str(FOLDER)}}
        NotebookClient(notebook, timeout=300, resources=resources).execute()
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)
        nbformat.write(notebook, path)
        print(f"{path.name}: {time.perf_counter() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
