"""Search: https://docs.github.com/en/rest/search/search#search-issues-and-pull-requests."""

from typing import Any

from ..search import find
from . import Call, route


@route("GET", "/search/issues")
def search_issues(call: Call) -> Any:
    query = call.query.get("q", "")
    if sort := call.query.get("sort"):
        query += f" sort:{sort}-{call.query.get('order', 'desc')}"
    found = find(call.github, query, call.user)
    items = [call.github.shapes.issue(issue) for issue in call.page(found)]
    return {"total_count": len(found), "incomplete_results": False, "items": items}
