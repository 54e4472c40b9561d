"""Makes the page of ten questions: `python docs/questions/make.py` writes docs/questions.md and its pictures.

Trainings take a few minutes the first time; they are kept under `.cache/questions`.
"""

from __future__ import annotations

from pathlib import Path

from measure import QUESTIONS

from lrscope.report.save import save_chart

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Measure, draw, write."""
    numbers = {}
    for name, ask in QUESTIONS.items():
        chart, found = ask()
        save_chart(chart, HERE / f"{name}.svg")
        numbers |= {f"{name}_{key}": value for key, value in found.items()}
    text = (HERE / "template.txt").read_text(encoding="utf-8").format(**numbers)
    (HERE.parent / "questions.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
