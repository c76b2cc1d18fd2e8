"""The values of a YAML text once more, with the line of each item and key."""

from typing import Any

from prowconfig.yaml_text.events import Builder, Frame


class LineBuilder(Builder):
    """Makes values as `Builder` does, and notes their lines: slower, and needed only for problems."""

    def __init__(self, text: str):
        super().__init__(text)
        self.lines: dict[int, Any] = {}
        """For each list or map by its id, the line of each item or key."""
        self.twice: list[tuple[str, int, int]] = []
        """Keys that are written twice, with both lines."""

    def _open_collection(self, event: Any) -> None:
        super()._open_collection(event)
        frame = self.stack[-1]
        is_map = frame.value.__class__ is dict
        frame.lines = self.lines[id(frame.value)] = {} if is_map else []
        if is_map:
            frame.written = {}
        if len(self.stack) > 1 and self.stack[-2].value.__class__ is list:
            self.stack[-2].lines.append(event.start_mark.line + 1)

    def _add_value(self, value: Any, event: Any, size: int) -> None:
        if self.stack and self.stack[-1].value.__class__ is list:
            self.stack[-1].lines.append(event.start_mark.line + 1)
        super()._add_value(value, event, size)

    def _take_key(self, frame: Frame, value: Any, event: Any) -> None:
        super()._take_key(frame, value, event)
        if frame.merge:
            return
        key, line = frame.key, event.start_mark.line + 1
        if key in frame.written:
            self.twice.append((key, frame.written[key], line))
        frame.written[key] = frame.lines[key] = line

    def _merge_maps(self, frame: Frame, value: Any, event: Any) -> None:
        super()._merge_maps(frame, value, event)
        for source in reversed([value] if isinstance(value, dict) else value):
            frame.lines.update(self.lines.get(id(source), {}))
