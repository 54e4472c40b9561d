"""Charts, one file per subject: functions that take results and return Altair charts; nothing is written here."""

import lrscope.report.theme  # noqa: F401  one clear error where the charts' libraries are missing
