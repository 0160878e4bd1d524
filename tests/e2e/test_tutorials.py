"""The tutorials run as they are printed: every command, every exit code, every line up to ids, times and amounts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.tutorials import (
    PORTS,
    RUNBOOKS,
    TUTORIALS,
    Command,
    SavedFile,
    World,
    aligned,
    differences,
    rewrite,
    steps,
    variable_parts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A loaded machine with two cores; alone they take about 25 s.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[str]]]:
    """All three in order, in one folder: each goes on where the one before it ends."""
    world = World(tmp_path_factory.mktemp("tour").resolve())
    try:
        yield {
            path.name: list(differences(world.replay(path.read_text(encoding="utf-8")))) for path in TUTORIALS
        }
    finally:
        world.stop()


@pytest.mark.parametrize("name", [path.name for path in TUTORIALS])
def test_a_tutorial_prints_what_its_page_says(replayed: dict[str, list[str]], name: str) -> None:
    assert not replayed[name], (
        "write the page anew with `python -m tests.support.tutorials`:\n\n" + "\n\n".join(replayed[name])
    )


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.name)
def test_a_runbook_prints_what_its_page_says(path: Path, tmp_path: Path) -> None:
    world = World(tmp_path.resolve())
    try:
        found = list(differences(world.replay(path.read_text(encoding="utf-8"))))
    finally:
        world.stop()
    assert not found, "write the page anew with `python -m tests.support.tutorials`:\n\n" + "\n\n".join(found)


PAGE = """\
# A page

```console
$ one \\
    --more
1 thing
$ two
```

```console exit=3
$ three
error: no
```

```console server
$ serve --port 8545
listening
```

```toml made/here.toml
key = 1
```

```sh
never run
```
"""


def test_a_page_is_read_as_commands_servers_and_files() -> None:
    assert steps(PAGE) == [
        Command("one \\\n    --more", ("1 thing",), 0, is_server=False, line=4),
        Command("two", (), 0, is_server=False, line=7),
        Command("three", ("error: no",), 3, is_server=False, line=11),
        Command("serve --port 8545", ("listening",), 0, is_server=True, line=16),
        SavedFile("made/here.toml", "key = 1\n"),
    ]


@pytest.mark.parametrize(
    "page", ["```console\n$ one\n", "```console\nno command\n```\n", "```console odd\n$ a\n```\n"]
)
def test_a_page_that_a_replay_would_misread_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match=r"line|block"):
        steps(page)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("block 5 at 2026-11-21 18:35:12 UTC", "block 5 at 2027-01-01 00:00:00 UTC"),
        ("release   f4ca613f0a84", "release   d43baa71ccd5"),
        (
            "paid 0x5FbDB2315678afecb367f032d93F642f64180aa3",
            "paid 0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512",
        ),
        ("gas      48,841 at 2.58 gwei", "gas      3,531,114 at 3.1 gwei"),
        ("fresh, found 9 s old", "fresh, found 41 s old"),
    ],
)
def test_what_differs_from_run_to_run_is_the_same_kind(one: str, other: str) -> None:
    assert variable_parts(one) == variable_parts(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0 gaps, 0 wrong", "1 gaps, 0 wrong"),
        ("version 1.1.0", "version 1.2.0"),
        ("sequence 2", "sequence 3"),
        ("V5  ok", "V5  NO"),
        ("slot a runs", "slot b runs"),
        ("revoked  d43baa71ccd5", "halted  d43baa71ccd5"),
    ],
)
def test_what_a_command_says_is_not(one: str, other: str) -> None:
    assert variable_parts(one) != variable_parts(other)


def test_dots_stand_for_lines_and_for_the_rest_of_a_line() -> None:
    printed = ["first 0123456789", "second", "third and more", "last"]
    assert aligned(("first 9876543210", "...", "third and...", "last"), printed) == [
        "first 0123456789",
        "...",
        "third and...",
        "last",
    ]
    assert aligned(("...", "third"), printed) is None
    assert aligned(("first 9876543210", "last"), printed) is None
    assert aligned((), printed) is None


def test_a_page_is_written_anew_where_it_disagrees_alone() -> None:
    one, two, three, serve = (step for step in steps(PAGE) if isinstance(step, Command))
    ran = [(one, 0, ["2 things", "more"]), (two, 0, []), (three, 3, ["error: no"]), (serve, 0, ["listening"])]
    assert rewrite(PAGE, ran) == PAGE.replace("1 thing", "2 things\nmore")
    assert [line.split(":")[0] for line in differences(ran)] == ["line 4"]


def test_the_pages_name_no_port_that_a_replay_does_not_move() -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in (*TUTORIALS, *RUNBOOKS))
    assert {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", pages)} == set(PORTS) - {5001}
