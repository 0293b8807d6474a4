"""Opens a report in headless Chromium, reads it, and keeps pictures of it.

Needs ``chromium``, ``chromium-browser`` or ``google-chrome`` on PATH. Run by `make
browser`; the pictures, light and dark, are for people to look at.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from sklearn.model_selection import train_test_split

import semistruct as ss

OUT = Path(__file__).parents[1] / "build" / "browser"
TITLE = "Survival with table and scan"
HEADINGS = ("Data", "Coefficients", "Deep terms", "Scores", "Calibration")
LOOKS = {"light": [], "dark": ["--force-dark-mode"]}


def main() -> int:
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        print(f"None of {', '.join(names)} is on PATH.", file=sys.stderr)
        return 1
    page = make_report().resolve()
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--host-resolver-rules=MAP * ~NOTFOUND",  # there is no network
        "--window-size=1100,6600",
    ]
    seen = subprocess.run(
        [*command, "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    title = re.search("<title>(.*?)</title>", seen)
    missing = [h for h in HEADINGS if not re.search(f"<h2[^>]*>{h}</h2>", seen)]
    pictures = seen.count("<img")
    if title is None or title[1] != TITLE or missing or pictures < 8:
        print(f"title {title}, missing {missing}, {pictures} pictures", file=sys.stderr)
        return 1
    for look, options in LOOKS.items():
        target = OUT / f"report-{look}.png"
        shot = [*command, *options, f"--screenshot={target}", page.as_uri()]
        subprocess.run(shot, capture_output=True, check=True, timeout=120)
        print(f"{title[1]!r}: {pictures} pictures; see {target}")
    return 0


def make_report() -> Path:
    X, y = ss.datasets.load_survival_digits()
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    terms = "age + C(stage) + s(bmi) + image(scan)"
    model = ss.SemiStructuredSurvival(terms, random_state=0).fit(X_train, y_train)
    return ss.report(model, OUT / "report.html", X_test, y_test, title=TITLE)


if __name__ == "__main__":
    sys.exit(main())
