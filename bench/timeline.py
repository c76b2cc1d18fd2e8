"""When each resource of a command of the CLI was worked on: seconds from the command's start, and a picture of them.

The engine's event log has whole seconds, so the file is followed while it grows.
"""

import html
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

PAUSE_SECONDS = 0.02
ROW, LEFT, WIDTH = 14, 330, 620
"""Of the picture, in pixels: height of a line, room for the names, width of the time."""
COLOURS = {"Deployment": "#c0504d", "Job": "#e08e0b", "Namespace": "#7f6084", "Webhook": "#2e7d32"}


@dataclass(frozen=True, kw_only=True)
class Span:
    """The work on one resource."""

    name: str
    """The last part of its URN."""
    kind: str
    """The last part of its type."""
    op: str
    """What the engine did with it."""
    start: float
    """Seconds from the command's start."""
    end: float


class Timeline:
    """Follows the event log of one command, as a context."""

    def __init__(self, log: Path):
        """:param log: of the command that is started within the context; an old one is removed by then."""
        self._log, self._events = log, []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._started = 0.0

    def __enter__(self) -> "Timeline":
        self._log.unlink(missing_ok=True)
        self._started = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _follow(self) -> None:
        rest, place = "", 0
        while True:
            ended = self._stop.is_set()
            if self._log.exists():
                with self._log.open() as file:
                    file.seek(place)
                    rest += file.read()
                    place = file.tell()
            *lines, rest = rest.split("\n")
            now = time.monotonic() - self._started
            self._events += [(now, json.loads(line)) for line in lines if line]
            if ended:
                return
            time.sleep(PAUSE_SECONDS)

    @property
    def spans(self) -> list[Span]:
        """The work on each resource, in the order of its start."""
        begun: dict[str, tuple[float, dict[str, Any]]] = {}
        found: list[Span] = []
        for at, event in self._events:
            if data := event.get("resourcePreEvent"):
                begun[data["metadata"]["urn"]] = (at, data["metadata"])
            elif (data := event.get("resOutputsEvent")) and (
                first := begun.pop(data["metadata"]["urn"], None)
            ):
                start, step = first
                name, kind = step["urn"].rsplit("::", 1)[-1], step["type"].rsplit(":", 1)[-1]
                found.append(Span(name=name, kind=kind, op=step["op"], start=start, end=at))
        return sorted(found, key=lambda span: (span.start, span.end))


def draw(spans: Sequence[Span], title: str, *, left_out: Callable[[Span], bool] = lambda span: False) -> str:
    """The spans as an SVG picture, a line for each.

    :param left_out: what the picture does not show.
    """
    shown = [span for span in spans if not left_out(span)]
    last = max((span.end for span in shown), default=1.0)
    scale, height = WIDTH / last, ROW * (len(shown) + 4)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 60}" height="{height}" '
        'font-family="sans-serif" font-size="10">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="6" y="14" font-size="12">{html.escape(title)}</text>',
    ]
    step = max(1, round(last / 10))
    for second in range(0, int(last) + 1, step):
        x = LEFT + second * scale
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{ROW * 2}" y2="{height}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{ROW * 2 - 2}" fill="#666">{second} s</text>')
    for number, span in enumerate(shown):
        y, x = ROW * (number + 3), LEFT + span.start * scale
        colour = next((value for key, value in COLOURS.items() if span.kind.endswith(key)), "#4f81bd")
        width = max(1.5, (span.end - span.start) * scale)
        name = html.escape(span.name)
        parts.append(f'<text x="{LEFT - 6}" y="{y}" text-anchor="end">{name}</text>')
        parts.append(
            f'<rect x="{x:.1f}" y="{y - 9}" width="{width:.1f}" height="10" fill="{colour}">'
            f"<title>{name}: {span.op}, {span.start:.2f} to {span.end:.2f} s</title></rect>"
        )
    return "\n".join([*parts, "</svg>\n"])
