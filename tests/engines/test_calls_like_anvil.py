"""Simulations and traces beside anvil, for the rules of Cancun and Prague that geth 1.13.15 does not have.

What of an answer is left out is where anvil 1.7.1 departs from the specification of eth_simulateV1 and from geth: it
gives its simulated blocks other heights and times, fills no gaps, checks nothing with ``validation``, and calls every
failure "execution failed".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local_chain.forks import Fork
from local_chain.library import LocalChain
from local_chain.opening import Settings
from tests.support.chain import RpcError, rpc
from tests.support.engines import anvil_process

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.engines("anvil")

RICH, HEIR, CODE, OTHER = ("0x" + who * 20 for who in ("c1", "c2", "aa", "bb"))
MONEY = {RICH: {"balance": hex(10**20)}}
WORD = "0x" + "00" * 31
RETURN_TOP = "5f5260205ff3"
ECHO_REVERT = "0x365f5f37365ffd"
COUNT = "0x60015f54015f5560015f5260205ff3"  # adds one to the first word
CALLER = "0x335f52326020523a6040524760605260805ff3"  # sender, origin, price, balance
PAY = "0x5f5f5f5f3473" + "c2" * 20 + "5af1" + RETURN_TOP
LOG = "0x60aa5f5fa100"
BLOCK = "0x435f52426020524160405245606052446080524860a05260c05ff3"

Ask = "Callable[..., object]"


@pytest.fixture(scope="module", params=[Fork.CANCUN, Fork.PRAGUE], ids=lambda fork: fork.label)
def both(request: pytest.FixtureRequest) -> Iterator[tuple[Ask, Ask]]:
    fork = request.param
    with anvil_process("--hardfork", fork.label) as anvil, LocalChain(Settings(fork=fork)) as chain:
        yield (lambda method, *params: rpc(chain.url, method, *params)), anvil


# --- simulations


def given(code: str, *calls: dict, **account: object) -> dict:
    calls = tuple({"from": RICH, "to": CODE} | call for call in calls)
    return {"stateOverrides": MONEY | {CODE: {"code": code} | account}, "calls": list(calls)}


SIMULATIONS = {
    "a transfer": [{"stateOverrides": MONEY, "calls": [{"from": RICH, "to": HEIR, "value": "0x5"}]}],
    "blocks that build on one another": [
        given(COUNT, {}),
        {"calls": [{"from": RICH, "to": CODE}] * 2},
        given("0x5f54" + RETURN_TOP, {}),
    ],
    "reverts with a text, a panic, an error of its own, nothing": [
        given(
            ECHO_REVERT,
            {"input": "0x08c379a0" + f"{32:064x}{4:064x}" + b"nope".hex().ljust(64, "0")},
            {"input": f"0x4e487b71{17:064x}"},
            {"input": "0x12345678"},
            {},
        )
    ],
    "failures that use all gas": [given("0xfe", {"gas": "0x10000"}), given("0x5b5f56", {"gas": "0x10000"})],
    "who calls, and for how much": [
        given(
            CALLER,
            {"value": "0x9"},
            {"gasPrice": hex(10**10), "gas": "0x30000"},
            {"maxFeePerGas": hex(10**10), "maxPriorityFeePerGas": "0x5", "gas": "0x30000"},
        )
    ],
    "logs": [given(LOG, {}, {}), {"calls": [{"from": RICH, "to": CODE}]}],
    "ether that a contract passes on": [given(PAY, {"value": "0x5"})],
    "storage that is replaced, and then changed": [
        given("0x5f54" + RETURN_TOP, {}, state={WORD + "00": WORD + "11"}),
        {
            "stateOverrides": {CODE: {"stateDiff": {WORD + "00": WORD + "22"}}},
            "calls": [{"from": RICH, "to": CODE}],
        },
    ],
    "gas that is given back": [given("0x5f5f5500", {}, state={WORD + "00": WORD + "11"})],
    "a sender with a nonce, and one with code": [
        {
            "stateOverrides": {RICH: {"nonce": "0x7", "balance": "0xff"}},
            "calls": [{"from": RICH, "to": HEIR}] * 2,
        },
        {"stateOverrides": {RICH: {"code": "0x00"}}, "calls": [{"from": RICH, "to": HEIR}]},
    ],
    "a nonce that is not the next": [
        {"stateOverrides": MONEY, "calls": [{"from": RICH, "to": HEIR, "nonce": "0x9"}]}
    ],
    "what outlives a call and not a transaction": [
        given("0x5f5c60075f5d" + RETURN_TOP, {}, {})  # transient storage
    ],
}


@pytest.mark.parametrize("transfers", [False, True])
@pytest.mark.parametrize("name", SIMULATIONS)
def test_every_simulated_call_ends_as_on_anvil(both: tuple[Ask, Ask], name: str, transfers: bool) -> None:
    asked = {"blockStateCalls": SIMULATIONS[name], "traceTransfers": transfers}
    ours, theirs = (outcomes(ask("eth_simulateV1", asked, "latest")) for ask in both)
    assert ours == theirs
    assert any(ours)


def test_a_simulated_block_is_what_was_asked_for_on_both(both: tuple[Ask, Ask]) -> None:
    visible = {"number": "0x20", "time": hex(2**33), "feeRecipient": OTHER, "gasLimit": hex(10**7)}
    visible |= {"baseFeePerGas": "0x7", "prevRandao": "0x" + "77" * 32}
    asked = {"blockStateCalls": [given(BLOCK, {}) | {"blockOverrides": visible}], "validation": True}
    asked["blockStateCalls"][0]["calls"][0] |= {"gas": "0x20000", "maxFeePerGas": "0x7"}
    ours, theirs = (ask("eth_simulateV1", asked, "latest")[-1] for ask in both)
    shown = ("number", "timestamp", "miner", "gasLimit", "gasUsed", "baseFeePerGas", "extraData")
    assert {name: ours[name] for name in shown} == {name: theirs[name] for name in shown}
    assert outcomes([ours]) == outcomes([theirs])


@pytest.mark.parametrize(
    ("call", "ours_says", "theirs_says"),
    [
        ({"from": OTHER, "value": "0x1"}, (-38014, "insufficient funds"), (-32003, "Insufficient funds")),
        ({"gas": "0x5"}, (-38013, "intrinsic gas too low"), (-32000, "intrinsic gas too high")),
        (
            {"to": None, "input": "0x" + "00" * 49_153},
            (-38025, "max initcode size"),
            (-32003, "max initcode size"),
        ),
        (
            {"maxFeePerGas": "0x5", "maxPriorityFeePerGas": "0x9"},
            (-32000, "higher than max fee"),
            (-32602, "greater than"),
        ),
    ],
)
def test_what_cannot_be_simulated_is_refused_by_both(
    both: tuple[Ask, Ask], call: dict, ours_says: tuple[int, str], theirs_says: tuple[int, str]
) -> None:
    block = {"stateOverrides": MONEY, "calls": [{"from": RICH, "to": HEIR} | call]}
    for ask, (code, words) in zip(both, (ours_says, theirs_says), strict=True):
        with pytest.raises(RpcError) as refused:
            ask("eth_simulateV1", {"blockStateCalls": [block]}, "latest")
        assert (refused.value.code, words in refused.value.message) == (code, True), refused.value.message


def outcomes(blocks: list[dict]) -> list[list[dict]]:
    """What each call returned, used and logged, block by block, without the empty ones that fill gaps."""
    shown = ("address", "topics", "data", "logIndex", "transactionIndex")
    return [
        [
            {name: call[name] for name in ("returnData", "gasUsed", "status")}
            | {"logs": [{name: log[name] for name in shown} for log in call["logs"]]}
            for call in block["calls"]
        ]
        for block in blocks
        if block["calls"]
    ]


# --- traces

DELEGATION = "0xef0100" + "bb" * 20
PROGRAMS = {
    "transient storage": "0x60055f5d5f5c" + RETURN_TOP,
    "a copy in memory": "0x7f" + "11" * 32 + "5f5260205f60205e60405ff3",
    "words": "0x60015f555f54600155600060015500",
    "the price of blobs": "0x4a" + RETURN_TOP,
    "a blob that is not there": "0x5f49" + RETURN_TOP,
    "a self-destruction": "0x73" + "c2" * 20 + "ff",
    "a creation": "0x5f60015f5ff5" + RETURN_TOP,
    "a creation that fails": "0x60fe5f5360015f5ff0" + RETURN_TOP,
    "a call with ether": "0x60205f60205f600573" + "c2" * 20 + "5af1" + RETURN_TOP,
    "a delegated call": "0x5f5f5f5f73" + "bb" * 20 + "5af400",
    "a log": LOG,
    "a revert": "0x5f5ffd",
    "a designated failure": "0xfe",
    "a precompiled contract": "0x60205f60205f5f60025af160205ff3",
    "a hash": "0x60205f20" + RETURN_TOP,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_call_is_traced_as_anvil_traces_it(both: tuple[Ask, Ask], name: str) -> None:
    options = {"tracer": "callTracer", "tracerConfig": {"withLog": True}}
    ours, theirs = (traced(ask, PROGRAMS[name], options) for ask in both)
    assert (
        int(ours.pop("gas"), 16) - int(theirs.pop("gas"), 16) == 21_000
    )  # geth shows the limit, as ours does
    assert without(ours, "index") == without(theirs, "index")


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_step_is_traced_as_anvil_traces_it(both: tuple[Ask, Ask], name: str) -> None:
    options = {"enableMemory": True, "enableReturnData": True}
    ours, theirs = (traced(ask, PROGRAMS[name], options) for ask in both)
    for mine, other in zip(ours["structLogs"], theirs["structLogs"], strict=True):
        assert shown(mine) == shown(other)
    assert (ours["gas"], ours["failed"], ours["returnValue"]) == (
        theirs["gas"],
        theirs["failed"],
        theirs["returnValue"],
    )


@pytest.mark.parametrize("diff", [False, True])
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_accounts_are_traced_as_anvil_traces_them(both: tuple[Ask, Ask], name: str, diff: bool) -> None:
    options = {"tracer": "prestateTracer", "tracerConfig": {"diffMode": diff}}
    ours, theirs = (kept(traced(ask, PROGRAMS[name], options)) for ask in both)
    assert ours == theirs


@pytest.mark.parametrize("both", [Fork.PRAGUE], indirect=True)
def test_code_that_is_delegated_is_traced_as_anvil_traces_it(both: tuple[Ask, Ask]) -> None:
    options = {"tracer": "callTracer"}
    ours, theirs = (traced(ask, DELEGATION, options) for ask in both)
    assert ours["gasUsed"] == theirs["gasUsed"]
    assert ours.get("error") == theirs.get("error")


def traced(ask: Ask, code: str, options: dict) -> dict:
    accounts = MONEY | {OTHER: {"code": "0x60015f5500"}, CODE: {"code": code, "balance": "0x9"}}
    call = {"from": RICH, "to": CODE, "gas": hex(200_000)}
    return ask("debug_traceCall", call, "latest", options | {"stateOverrides": accounts})


def without(value: object, *names: str) -> object:
    if isinstance(value, dict):
        return {name: without(item, *names) for name, item in value.items() if name not in names}
    return [without(item, *names) for item in value] if isinstance(value, list) else value


def shown(step: dict) -> dict:
    """A step without what is empty, which geth leaves out; without the error, which anvil tells in Rust's words;
    without the prefixes of slots, that geth does not write; without the gas that a creation hands on, which
    anvil counts as its cost.
    """
    aside = {"error"} | ({"gasCost"} if step["op"] in ("CREATE", "CREATE2") else set())
    words = {at.removeprefix("0x"): word.removeprefix("0x") for at, word in step.get("storage", {}).items()}
    view = {
        name: value for name, value in step.items() if value not in (0, "0x", [], None) and name not in aside
    }
    return view | {"storage": words}


def kept(view: dict) -> dict:
    """Accounts without those of which there is nothing, which anvil shows with a balance of zero."""
    if set(view) == {"pre", "post"}:
        return {part: kept(accounts) for part, accounts in view.items()}
    return {who: account for who, account in view.items() if account != {"balance": "0x0"} or who == CODE}
