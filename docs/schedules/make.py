"""Makes the pages of this folder: `python docs/schedules/make.py` writes the pages, their pictures and the index."""

from __future__ import annotations

from dataclasses import MISSING
from pathlib import Path

import numpy as np
from pages import PAGES, Page

from lrscope.report.charts.schedules import bound_chart, schedule_chart
from lrscope.report.save import save_chart
from lrscope.schedules import Schedule, parse_schedule
from lrscope.schedules.bound import convex_bound
from lrscope.schedules.schedule import FAMILIES, arguments_of

HERE = Path(__file__).resolve().parent
STEPS = 1000


def make_page(page: Page) -> str:
    """Write one family's page and picture. Returns its line in the index."""
    schedules = [parse_schedule(text, total_steps=STEPS) for text in page.examples]
    steps = np.arange(STEPS)
    shares = [schedule(steps) for schedule in schedules]
    chart = schedule_chart(page.examples, steps, shares, height=240)
    save_chart(chart, HERE / f"{page.name}.svg")
    (HERE / f"{page.name}.md").write_text(page_text(page, schedules[0], shares[0]), encoding="utf-8")
    return f"- [{page.title}]({page.name}.md): {page.formula}"


def page_text(page: Page, schedule: Schedule, share: np.ndarray) -> str:
    """The page in Markdown."""
    linear = convex_bound(1 - np.arange(STEPS) / STEPS)
    bound = convex_bound(share)
    shown = [0, 100, 500, 999]
    commands = " ".join(f'"{text}"' for text in page.examples)
    return f"""# {page.title}

![{page.title}]({page.name}.svg)

{page.about}

**Formula.** {page.formula}.

**Source.** {page.source}

{arguments_text(page)}

In theory (convex bound, each at its own best peak rate, {STEPS} updates), `{page.examples[0]}` ends
×{bound.value / linear.value:.3f} as high as linear decay to zero, with
×{bound.best_base / linear.best_base:.2f} its peak rate.

```bash
lrscope schedule {commands} --total-steps {STEPS} --peak-lr 0.1
```

```python
>>> from lrscope.schedules import parse_schedule
>>> schedule = parse_schedule("{page.examples[0]}", total_steps={STEPS})
>>> print(schedule)
{schedule}
>>> [round(share, 4) for share in schedule({shown}).tolist()]
{[round(float(value), 4) for value in schedule(np.array(shown))]}

```
"""


def arguments_text(page: Page) -> str:
    """The arguments of the page's families, with their defaults."""
    lines = []
    for name in page.families or (page.name,):
        family = FAMILIES[name]
        told = ", ".join(
            f.name
            if f.default is MISSING
            else f"{f.name}={str(f.default).lower() if f.default in (True, False, None) else f.default}"
            for f in arguments_of(family)
        )
        lines.append(f"`{name}({told})` is `lrscope.schedules.{family.__name__}`.")
    return "**Arguments.** " + "\n\n".join(lines)


def make_index(lines: list[str]) -> None:
    """Write the index with the comparison of the usual shapes by the bound."""
    texts = ["linear", "cosine", "constant"]
    bounds = [convex_bound(parse_schedule(text, total_steps=STEPS)(np.arange(STEPS))) for text in texts]
    save_chart(bound_chart(texts, bounds), HERE / "bound.svg")
    index = "\n".join(lines)
    text = (HERE / "index.template.md").read_text(encoding="utf-8").replace("{families}", index)
    (HERE / "README.md").write_text(text, encoding="utf-8")


def main() -> None:
    """Writes every page, every picture and the index."""
    make_index([make_page(page) for page in PAGES])


if __name__ == "__main__":
    main()
