"""libyaml's events made into values, one by one, so that nesting costs no stack."""

import contextlib
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from prowconfig.yaml_text.bounds import DEPTH, check_aliased
from prowconfig.yaml_text.errors import YamlError, describe_syntax
from prowconfig.yaml_text.scalars import format_key, resolve_scalar, resolve_tagged

try:
    from yaml._yaml import CParser as _Parser
except ImportError:  # PyYAML without libyaml: slower, and the same
    from yaml import SafeLoader as _Parser

MISSING: Any = object()
"""No key has been read whose value is still to come."""


@dataclass(eq=False, slots=True)
class Frame:
    """A list or map that is being read."""

    value: Any
    key: Any = MISSING
    """The key whose value comes next; MISSING: a key comes next, or this is a list."""
    merge: bool = False
    """The value that comes next is merged (`<<`)."""
    anchor: str | None = None
    size: int = 1
    """Values below, aliases counted each time."""
    lines: Any = None
    """For each item or key its line, from `LineBuilder`."""
    written: Any = None
    """The same without the keys that were merged."""


class Builder:
    """Makes values of libyaml's events, with the bounds that Go's reader has."""

    def __init__(self, text: str):
        self.text = text
        self.repeated = False
        """A key is written twice, or replaces one that was merged."""
        self.more_documents: int | None = None
        """Line where a second document begins."""
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.open_anchors: set[str] = set()
        self.scalars: dict[str, Any] = {}
        self.decoded = self.aliased = 0
        self.stack: list[Frame] = []
        self.top: Any = None

    def build(self) -> Any:
        """The value of the text's first document.

        :raises YamlError: when Prow cannot read it.
        """
        parser = _Parser(self.text)
        try:
            self._read_document(parser.get_event)
        except yaml.YAMLError as error:
            raise describe_syntax(self.text, error) from None
        finally:
            parser.dispose()
        return self.top

    def _read_document(self, next_event: Any) -> None:
        """Read the first document; Prow reads no further."""
        handlers = {
            ScalarEvent: self._take_scalar,
            AliasEvent: self._take_alias,
            MappingStartEvent: self._open_collection,
            SequenceStartEvent: self._open_collection,
            MappingEndEvent: self._close_collection,
            SequenceEndEvent: self._close_collection,
        }
        while True:
            event = next_event()
            kind = event.__class__
            if kind in handlers:
                handlers[kind](event)
            elif kind is DocumentEndEvent:
                break
            elif kind is StreamEndEvent:
                return
        with contextlib.suppress(yaml.YAMLError):
            event = next_event()
            if event.__class__ is DocumentStartEvent:
                self.more_documents = event.start_mark.line + 1

    def _take_scalar(self, event: Any) -> None:
        text = event.value
        if event.tag is not None:
            value = self._resolve_tagged_scalar(event)
        elif not event.implicit[0]:
            value = text
        else:
            value = self.scalars.get(text, MISSING)
            if value is MISSING:
                value = self.scalars[text] = resolve_scalar(text)
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, 1)
        self._add_value(value, event, 1)

    def _open_collection(self, event: Any) -> None:
        """Begin a list or map."""
        stack = self.stack
        if len(stack) >= DEPTH:
            raise YamlError(event.start_mark.line + 1, f"lists and maps are nested deeper than {DEPTH} times")
        frame = Frame({} if event.__class__ is MappingStartEvent else [])
        if event.anchor is not None:
            frame.anchor = event.anchor
            self.open_anchors.add(event.anchor)
        if stack and stack[-1].key is MISSING and stack[-1].value.__class__ is dict:
            raise YamlError(event.start_mark.line + 1, "a key must be text, not a list or a map")
        stack.append(frame)

    def _close_collection(self, event: Any) -> None:
        """End a list or map."""
        frame = self.stack.pop()
        self.decoded += 1
        if frame.anchor is not None:
            self.open_anchors.discard(frame.anchor)
            self.anchors[frame.anchor] = (frame.value, frame.size)
        if self.stack:
            self._put_value(self.stack[-1], frame.value, event, frame.size)
        else:
            self.top = frame.value

    def _add_value(self, value: Any, event: Any, size: int) -> None:
        """Add a scalar or what an alias stands for."""
        self.decoded += 1
        if not self.stack:
            self.top = value
            return
        frame = self.stack[-1]
        if frame.key is not MISSING:
            self._put_value(frame, value, event, size)
        elif frame.value.__class__ is dict:
            self._take_key(frame, value, event)
        else:
            frame.value.append(value)
            frame.size += size

    def _take_key(self, frame: Frame, value: Any, event: Any) -> None:
        frame.size += 1
        if value == "<<" and event.__class__ is ScalarEvent and event.implicit[0]:
            frame.key, frame.merge = "<<", True
            return
        key = value if value.__class__ is str else format_key(value)
        if key is None:
            found = {dict: "a map", list: "a list"}.get(type(value), f"`{getattr(event, 'value', '')[:40]}`")
            raise YamlError(event.start_mark.line + 1, f"a key must be text, not {found}")
        frame.key = key
        if key in frame.value:
            self.repeated = True

    def _put_value(self, frame: Frame, value: Any, event: Any, size: int) -> None:
        """Add a value whose frame or key is there."""
        frame.size += size
        if frame.value.__class__ is list:
            frame.value.append(value)
            return
        if frame.merge:
            self._merge_maps(frame, value, event)
        else:
            frame.value[frame.key] = value
        frame.key, frame.merge = MISSING, False

    def _merge_maps(self, frame: Frame, value: Any, event: Any) -> None:
        """`<<` (decode.go, merge): what comes later in the map counts, and of a list the first."""
        sources = [value] if isinstance(value, dict) else value
        if not isinstance(sources, list) or not all(isinstance(source, dict) for source in sources):
            raise YamlError(event.start_mark.line + 1, "`<<` must have a map or a list of maps to merge")
        for source in reversed(sources):
            self._count_aliased(len(source), event)
            frame.value.update(source)

    def _take_alias(self, event: Any) -> None:
        name, line = event.anchor, event.start_mark.line + 1
        if name in self.open_anchors:
            raise YamlError(line, f"the anchor `{name}` contains itself")
        if name not in self.anchors:
            raise YamlError(line, f"no valid YAML: unknown anchor `{name}`")
        value, size = self.anchors[name]
        self._count_aliased(size, event)
        self._add_value(value, event, size)

    def _count_aliased(self, size: int, event: Any) -> None:
        self.decoded += size
        self.aliased += size
        check_aliased(self.decoded, self.aliased, event.start_mark.line + 1)

    def _resolve_tagged_scalar(self, event: Any) -> Any:
        try:
            return resolve_tagged(event.value, event.tag)
        except ValueError as error:
            raise YamlError(event.start_mark.line + 1, str(error)) from None
