"""Make the pictures of the README out of a finished study: `python docs/pictures/make.py lrscope-out/digits`.

page.png and page-dark.png: the top of the study's page in headless Chromium. four-curves.png: one of its charts.
terminal.svg: what the command prints.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console

import lrscope.cli.study as command
from lrscope.report.charts.curves import four_regimes
from lrscope.report.extract.study import lecture_curves
from lrscope.report.save import save_chart
from lrscope.report.study import write_study_report
from lrscope.study.run import load_study

HERE = Path(__file__).parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDTH, HEIGHT = 1180, 1240


def photograph(page: Path, picture: Path, *, dark: bool = False) -> None:
    """The top of a page, as a browser shows it."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SystemExit("No Chromium here: install Debian's package chromium.")
    with tempfile.TemporaryDirectory() as profile:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=30000"]
        flags += [f"--user-data-dir={profile}", f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={picture}"]
        flags += ["--blink-settings=preferredColorScheme=0"] if dark else []
        address = page.resolve().as_uri()
        subprocess.run([browser, *flags, address], check=True, capture_output=True, timeout=180)


def main(folder: Path) -> None:
    """All pictures of the study in a folder."""
    result = load_study(folder)
    page = write_study_report(result, folder / "report.html")
    photograph(page, HERE / "page.png")
    photograph(page, HERE / "page-dark.png", dark=True)
    save_chart(four_regimes(lecture_curves(result)), HERE / "four-curves.png")
    command.stdout = Console(record=True, width=132, force_terminal=True, file=io.StringIO())
    command.print_summary(result, Path("lrscope-out") / result.task)
    picture = command.stdout.export_svg(title=f"lrscope study {result.task}")
    without_web_fonts = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    (HERE / "terminal.svg").write_text(without_web_fonts, encoding="utf-8")
    for picture in sorted(HERE.glob("*.[ps][nv]g")):
        sys.stdout.write(f"{picture.name}: {picture.stat().st_size / 1024:.0f} kB\n")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "lrscope-out/digits"))
