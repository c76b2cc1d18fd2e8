"""Pages for people."""

from collections.abc import Callable, Mapping

from .service import GitHub

Page = Callable[[GitHub, Mapping[str, str]], str | None]
PAGES: list[tuple[str, Page]] = []
