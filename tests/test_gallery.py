"""The gallery of mistakes: `claimpost mapping check` says of each exactly what stands below its arrow.

`pytest tests/test_gallery.py --rewrite-gallery` writes what it says now, to be read and committed.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from docs import gallery
from etl import cli, mapping
from etl.errors import ConfigurationError

MISTAKES = gallery.read()


def test_the_folder_without_a_mistake_is_good() -> None:
    assert "" == gallery.said(gallery.FOLDER / "base")


@pytest.mark.parametrize("mistake", MISTAKES, ids=[mistake.path.stem for mistake in MISTAKES])
def test_a_mistake_is_named_with_file_line_reason_and_remedy(
    mistake: gallery.Mistake, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    now = gallery.said(gallery.made(mistake, tmp_path / "mappings"))
    if request.config.getoption("--rewrite-gallery"):
        gallery.rewrite(mistake, now)
        return

    assert mistake.expected == now


def test_there_are_mistakes_enough_and_each_has_its_own_words() -> None:
    titles = [mistake.title for mistake in MISTAKES]

    assert len(MISTAKES) >= 45
    assert len(titles) == len({title.lower() for title in titles})
    assert [] == [mistake.path.stem for mistake in MISTAKES if " line " not in mistake.expected]


def test_the_page_of_the_gallery_is_up_to_date() -> None:
    assert gallery.page() == (gallery.FOLDER.parents[1] / "docs/mistakes.md").read_text("utf-8")


@pytest.mark.parametrize("name", ["unknown_key_of_a_feed", "two_forms", "rate_upside_down"])
def test_a_run_does_not_start_with_a_mistake(name: str, tmp_path: Path) -> None:
    (mistake,) = (one for one in MISTAKES if one.path.stem == name)

    with pytest.raises(ConfigurationError) as caught:
        mapping.load(gallery.made(mistake, tmp_path / "mappings"), "small")
    assert mistake.expected.split("\n")[0] in str(caught.value)


def test_all_mistakes_of_all_files_are_named_at_once_and_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five mistakes in five files, one of them read by two feeds."""
    names = (
        "unknown_field", "unknown_key_of_a_source", "unknown_key_of_a_target", "unknown_encoding", "rate_upside_down"
    )  # fmt: skip
    folder = gallery.FOLDER / "base"
    for number, mistake in enumerate(one for one in MISTAKES if one.path.stem in names):
        monkeypatch.setattr(gallery, "FOLDER", folder.parent)
        folder = gallery.made(mistake, tmp_path / str(number) / "base")
    feed = (folder / "feeds/small.yml").read_text("utf-8")
    (folder / "feeds/other.yml").write_text(feed.replace("feed: small\n", "feed: other\n"), "utf-8")
    monkeypatch.setenv("CLAIMPOST_MAPPINGS", str(folder))
    told = CliRunner().invoke(cli.main, ["mapping", "check"])

    assert 3 == told.exit_code
    assert f"{len(names)} problems." in told.stderr
