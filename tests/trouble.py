"""Faults of the GitHub stand-in."""

from typing import Any

import requests

from testbed.environment import OWNER, Environment


class Trouble:
    """The stand-in's faults."""

    def __init__(self, environment: Environment):
        self._url = f"{environment.github}/_standin/faults"
        self._headers = {"Authorization": f"Bearer {environment.person(OWNER).token}"}

    def plan(self, **wish: Any) -> None:
        requests.post(self._url, json=wish, headers=self._headers, timeout=10).raise_for_status()

    def left(self) -> list[Any]:
        return requests.get(self._url, headers=self._headers, timeout=10).json()

    def end(self) -> None:
        requests.delete(self._url, headers=self._headers, timeout=10).raise_for_status()
