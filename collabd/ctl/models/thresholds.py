"""What the thresholds of a little network are worth, as a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from collabd.ctl import figures
from collabd.ctl.output import table

if TYPE_CHECKING:
    from collab_sdk.reports import LittleReport
    from collabd.ctl.tables import Table


def thresholds_tables(little: LittleReport) -> Iterator[Table]:
    """A table for each precision, with one row for each threshold."""
    for ladder in little["ladders"]:
        answers = f">{little['model']} in {ladder['precision']} answers"
        built = table(f">{ladder['score']}", answers, ">agreed", ">both promise")
        for each in ladder["thresholds"]:
            built.add_row(
                f"{each['least']:.3f}",
                figures.share(each["share"]),
                figures.part(each["agreed"], each["images"]),
                figures.share(each["fidelity"]),
            )
        yield built
