"""What the screen shows, for who presses ?"""

from __future__ import annotations

from collab_sdk.vocabulary import PlanKind
from collabd.ctl.top.glyphs import Canvas, Glyphs, network_bar
from collabd.ctl.top.lines import ScreenLine, Style

_BAR = 12
_KINDS = (
    (PlanKind.SPLIT, "the first layers ran on the device, the others on the companion"),
    (PlanKind.IMAGE, "the companion got the picture, and ran the whole network"),
    (PlanKind.LOCAL, "the whole network ran on the device"),
    (PlanKind.LITTLE, "a little network was sure of its answer, so this one was not needed"),
    (PlanKind.INHERITED, "the picture is like the stream's last one, and so is the answer"),
)
_COLUMNS = (
    ("rtt", "the time there and back of the link to a companion"),
    ("ms", "the last call took; predicted: what was expected of it"),
    ("/s", "calls a second, over the last 10 s"),
    ("missed", "calls that did not keep all of their budget"),
    ("degraded", "calls that others had to finish, since the companion failed"),
    ("plan", "how the last call was answered, with codec, companion and cut"),
    ("fidelity", "how often the answer is the uncut network's; -: not counted"),
    ("pictures", "on how many of them that rests"),
    ("up B, down B", "bytes to the companion and back, of all calls since the start"),
    ("joules, cost", "of all calls since the start; cost in the unit of your prices"),
)


def legend_lines(glyphs: Glyphs) -> list[ScreenLine]:
    """For a terminal of 80x24 and more."""
    lines = [ScreenLine.of("How calls were answered: the network from its first layer to its last", Style.HEADING)]
    for kind, meaning in _KINDS:
        bar = network_bar(kind, "DDCCC", Canvas(_BAR, glyphs))
        lines.append(ScreenLine.of("  ").join(bar).add(f"  {kind:<10}", Style.STRONG).add(meaning))
    lines += [ScreenLine(), ScreenLine.of("Columns", Style.HEADING)]
    lines += [ScreenLine.of(f"  {name:<14}", Style.STRONG).add(meaning) for name, meaning in _COLUMNS]
    lines += [
        ScreenLine(),
        ScreenLine.of("Sparklines", Style.HEADING).add(
            f"  {glyphs.levels}  one value a second, the newest at the right."
        ),
        ScreenLine.of("  The lowest is 0; the highest is the most shown, of CPU all cores, of temperature 90."),
    ]
    return lines
