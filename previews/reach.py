"""Whether the stack's cluster can be asked from here. In CI it most often cannot: it runs on somebody's laptop."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

_SECONDS = 5.0


def unreachable(context: str) -> str:
    """Why the API server of a kubeconfig's context cannot be reached; "" where it answers a connection."""
    files = list(_kubeconfigs())
    named = {
        kind: {
            entry.get("name"): entry.get(kind[:-1]) or {}
            for file in reversed(files)
            for entry in file.get(kind) or []
        }
        for kind in ("contexts", "clusters")
    }
    if context not in named["contexts"]:
        return f"there is no context {context} in a kubeconfig here"
    cluster = named["clusters"].get(named["contexts"][context].get("cluster")) or {}
    url = urlsplit(cluster.get("proxy-url") or cluster.get("server") or "")
    if not url.hostname:
        return f"the kubeconfig's context {context} names no server"
    address = url.hostname, url.port or (80 if url.scheme == "http" else 443)
    try:
        socket.create_connection(address, timeout=_SECONDS).close()
    except OSError as error:
        return f"{address[0]}:{address[1]}: {error.strerror or error}"
    return ""


def _kubeconfigs() -> Iterator[dict[str, Any]]:
    paths = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    for path in filter(None, paths.split(os.pathsep)):
        try:
            content = yaml.safe_load(Path(path).expanduser().read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue
        if isinstance(content, dict):
            yield content
