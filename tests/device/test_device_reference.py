"""docs/reference/device.md says what the command and the configuration are."""

import argparse
import re
import tomllib
from pathlib import Path

from device_verifier.cli.arguments import make_parser
from device_verifier.config import parse_config
from device_verifier.hooks import HookStage

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "device.md").read_text()
TOML = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)[1]


def parsers(parser, words=()):
    """Every command's words and parser, depth first."""
    yield words, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from parsers(inner, (*words, name))


def test_every_command_and_option_is_on_the_page():
    for words, parser in parsers(make_parser()):
        if words:
            assert (
                f"`{' '.join(words)}" in PAGE
                or f"(`{words[0]}`)" in PAGE
                or f"`{words[0]} {words[-1]}" in PAGE
            )
        for option in parser._option_string_actions:
            assert option in {"-h", "--help"} or f"{option}" in PAGE, option


def test_the_page_names_no_option_that_is_not_there():
    known = {option for _, parser in parsers(make_parser()) for option in parser._option_string_actions}
    commands = PAGE.split("## device.toml")[0]
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", commands)) - known <= {"--device"}


def test_the_example_configuration_is_one():
    config = parse_config(TOML.encode(), base=Path("/etc/fwledger"))
    assert config.bootloader.tries == 3


def test_the_example_shows_every_key_that_the_reader_knows(monkeypatch):
    from device_verifier import config_reader

    known = []
    real = config_reader.Table.end

    def end(self):
        known.append((self.where, set(self._known)))
        real(self)

    monkeypatch.setattr(config_reader.Table, "end", end)
    parse_config(TOML.encode(), base=Path("/etc/fwledger"))
    document = tomllib.loads(TOML)
    places = {
        "device.toml": document,
        "device.toml: image": document["image"],
        "device.toml: rpc[0]": document["rpc"][0],
        "device.toml: witness[0]": document["witness"][0],
        "device.toml: gateway[0]": document["gateway"][0],
        "device.toml: slot.rootfs": document["slot"]["rootfs"],
        "device.toml: bootloader": document["bootloader"],
        "device.toml: install": document["install"],
        "device.toml: install: window[0]": document["install"]["window"][0],
        "device.toml: health[0]": document["health"][0],
        "device.toml: poll": document["poll"],
    }
    assert {where for where, _ in known} == set(places)
    for where, keys in known:
        assert keys - set(places[where]) <= {"channel"}, where


def test_every_hook_stage_is_on_the_page():
    for stage in HookStage:
        assert f"`{stage.value}`" in PAGE
