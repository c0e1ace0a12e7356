"""What every step needs: the settings, the feed's bundle, the store, and this run's id."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from etl import config, mapping, transport
from etl.config import Settings
from etl.pipeline.shelf import LANDING as LANDING
from etl.pipeline.shelf import Shelf
from etl.store import Store


@dataclass(frozen=True)
class Context:
    """One feed, opened: the steps' only argument beside ids."""

    settings: Settings
    bundle: mapping.Bundle
    store: Store
    run_id: str
    shelf: Shelf

    @property
    def feed_id(self) -> str:
        return self.bundle.feed_id

    @property
    def home(self) -> Path:
        return self.settings.home

    def landed(self, sha256: str) -> Path:
        """The landed file of this sha256."""
        return self.shelf.landed(sha256)

    def batch_folder(self, name: str) -> Path:
        """The batch folder that the store's `folder` names."""
        return self.shelf.folder(name)

    def profile(self, target: str) -> Mapping[str, Any]:
        return self.bundle.targets[target]

    def target_entry(self, target: str) -> Mapping[str, Any]:
        """The feed's entry for a target: its connection and path."""
        return next(entry for entry in self.bundle.feed["targets"] if entry["target"] == target)

    def connection(self, entry: Mapping[str, Any]) -> transport.Connection:
        """The connection that a source or target entry names."""
        return transport.connection(entry["connection"], entry.get("default", ""), self.home)


def open(feed_id: str, run_id: str = "", settings: Settings | None = None) -> Context:
    """Open a feed by name with the settings of the environment; raises ConfigurationError."""
    settings = settings or config.settings()
    bundle = mapping.load(settings.mappings, feed_id)
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    store = Store.open(settings.store_url)
    return Context(settings, bundle, store, run_id or new_run_id(feed_id), shelf_of(settings))


def shelf_of(settings: Settings) -> Shelf:
    """Where these settings keep landed files and batch folders."""
    return Shelf(settings.home, transport.Objects(settings.objects) if settings.objects else None)


def new_run_id(feed_id: str) -> str:
    """A name for one run: the feed and the UTC time it began."""
    return f"{feed_id}/{now()}"


def now() -> str:
    """The UTC time to the microsecond, ISO text."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def code_version() -> str:
    """The version of this program, as recorded on every journal."""
    return metadata.version("claimpost")
