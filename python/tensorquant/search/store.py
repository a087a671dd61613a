"""Results of evaluations in a folder."""

import json
import os
from typing import Any

from tensorquant import _core


class Store:
    """Results of evaluations in a folder, found again by their key: what is interrupted goes on where it was.

    Each process that writes has a file of its own, a line of JSON a record, so several may work on one folder.

    Args:
        folder: Made if it is not there.
        shared: What decides all results and cannot be seen here, such as model="mine", data="val-2026": anything that JSON has.

    Attributes:
        folder: Where it lies.

    Raises:
        Error: The folder's records are of other settings, or contradict each other.

    Example:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> Store(folder.name, model="mine").put("a key", {"kl": 0.5})
        >>> Store(folder.name, model="mine").find("a key")
        {'kl': 0.5}
    """

    def __init__(self, folder: str | os.PathLike, **shared: Any):
        self.folder = os.fspath(folder)
        self._core = _core.Store(self.folder, json.dumps(shared))

    def find(self, key: str) -> dict | None:
        """The record of that key; None where there is none."""
        record = self._core.find(key)
        return None if record is None else json.loads(record)

    def put(self, key: str, record: dict) -> None:
        """Adds a record, which is on the disk when this returns.

        Raises:
            Error: There is another result of that key, or the disk is full.
        """
        self._core.put(key, json.dumps(record))

    def refresh(self) -> None:
        """Reads what other processes have written since."""
        self._core.refresh()

    def __len__(self) -> int:
        return len(self._core)
