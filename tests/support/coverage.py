"""Which statements and which arms of every `if` of the contracts their tests run, measured on the committed bytecode.

py-evm tells every program counter that it executes; the compiler's source map, checked to be that of the committed
artifacts, says which statement each belongs to, and which JUMPI is which `if`. Games at random do not count: what is
covered is covered every time.

python -m tests.support.coverage
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from eth.vm.code_stream import CodeStream
from vyper import ast as vy_ast
from vyper.compiler.input_bundle import FilesystemInputBundle
from vyper.compiler.phases import CompilerData
from vyper.compiler.settings import OptimizationLevel, Settings, anchor_settings
from vyper.ir.compile_ir import assembly_to_evm

from contracts import compile as compiler
from tests.contract.actors import artifact

if TYPE_CHECKING:
    from collections.abc import Iterator

_JUMPI, _STOP = 0x57, 0x00
TESTS = Path(__file__).parents[1] / "contract"
# Random, or about files and not about what runs.
_NOT_COUNTED = (
    "test_artifacts",
    "test_costs",
    "test_coverage",
    "test_gas",
    "test_model_council",
    "test_model_fleet",
)


class _Nothing:
    """Carries no statement."""

    node_id = -1


_NOTHING = _Nothing()


@dataclass
class Trace:
    """What ran of one code: program counters, and where each JUMPI went."""

    ran: set[int] = field(default_factory=set)
    went: dict[int, set[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Code:
    """Bytecode with its map. What is executed may have constructor arguments or immutables after it."""

    code: bytes
    nodes: dict[int, Any]


@dataclass(frozen=True, order=True)
class Place:
    """A line of a module."""

    module: str
    line: int

    def __str__(self) -> str:
        return f"{self.module}:{self.line}"


@dataclass
class Report:
    """All statements and arms, and those that did not run."""

    statements: set[Place] = field(default_factory=set)
    arms: set[tuple[Place, bool]] = field(default_factory=set)
    missing_statements: set[Place] = field(default_factory=set)
    missing_arms: set[tuple[Place, bool]] = field(default_factory=set)

    def missing(self) -> list[str]:
        """What never ran, in words, by file and line."""
        arms = [f"{place}: `if` never {'true' if arm else 'false'}" for place, arm in self.missing_arms]
        return sorted([f"{place}: never executed" for place in self.missing_statements] + arms)


class Tracer:
    """Collects traces of the two contracts, of what is deployed and of what deploys it."""

    def __init__(self) -> None:
        self.codes = [code for name in compiler.CONTRACTS for code in mapped(name)]
        self.traces = [Trace() for _ in self.codes]
        self._known: dict[bytes, Trace | None] = {}

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Record whatever py-evm executes meanwhile."""
        plain = CodeStream.__iter__
        CodeStream.__iter__ = self._watched()
        try:
            yield
        finally:
            CodeStream.__iter__ = plain

    def report(self) -> Report:
        """Hold what ran against every module."""
        made = Report()
        for path in sorted((compiler.ROOT / "contracts").rglob("*.vy")):
            self._hold(path, made)
        return made

    def _watched(self) -> Any:
        tracer = self

        def steps(stream: CodeStream) -> Iterator[int]:
            code = stream._raw_code_bytes
            trace = tracer._trace(code)
            while stream.program_counter < len(code):
                at = stream.program_counter
                opcode = code[at]
                trace.ran.add(at)
                stream.program_counter += 1
                yield opcode
                if opcode == _JUMPI:
                    trace.went.setdefault(at, set()).add(stream.program_counter)
            yield _STOP

        return steps

    def _trace(self, code: bytes) -> Trace:
        if code not in self._known:
            found = [t for c, t in zip(self.codes, self.traces, strict=True) if code.startswith(c.code)]
            self._known[code] = found[0] if found else None
        return self._known[code] or Trace()

    def _hold(self, path: Path, report: Report) -> None:
        name = path.relative_to(compiler.ROOT / "contracts").as_posix()
        coded, ran, arms = self._seen(str(path))
        module = vy_ast.parse_to_ast(path.read_text(encoding="utf-8"), resolved_path=str(path))
        carriers: dict[int, int] = {}
        for statement, carrier in _statements(module):
            place = Place(name, statement.lineno)
            report.statements.add(place)
            # What the compiler merged into the statements before, or into the function's entry, ran with them.
            shown = statement.node_id
            if shown not in coded:
                shown = carriers.get(carrier.node_id, carrier.node_id)
                carriers[statement.node_id] = shown
            if shown not in ran:
                report.missing_statements.add(place)
            if isinstance(statement, vy_ast.If):
                for arm in (True, False):
                    report.arms.add((place, arm))
                    if arm not in arms.get(statement.node_id, ()):
                        report.missing_arms.add((place, arm))

    def _seen(self, path: str) -> tuple[set[int], set[int], dict[int, set[bool]]]:
        """Of a module, by id: nodes that have code, nodes that ran, and which arms of each `if` were taken."""
        coded: set[int] = set()
        ran: set[int] = set()
        arms: dict[int, set[bool]] = {}
        for code, trace in zip(self.codes, self.traces, strict=True):
            for at, node in code.nodes.items():
                if node.module_node.resolved_path != path:
                    continue
                coded.update(_ids(node))
                went = trace.went.get(at, set())
                if isinstance(node, vy_ast.If) and code.code[at] == _JUMPI:
                    # An `if` jumps over its body where its condition does not hold.
                    arms.setdefault(node.node_id, set()).update(to == at + 1 for to in went)
                elif isinstance(node, vy_ast.Break) and code.code[at + 3] == _JUMPI:
                    # `if ...: break` is one jump, where the condition holds.
                    taken = {to != at + 4 for to in trace.went.get(at + 3, set())}
                    arms.setdefault(node.get_ancestor().node_id, set()).update(taken)
                    if True not in taken:
                        continue
                if at in trace.ran:
                    ran.update(_ids(node))
        return coded, ran, arms


def mapped(name: str) -> list[Code]:
    """A contract's runtime code and its creation code, each with its map; held against the committed artifact."""
    bundle = FilesystemInputBundle([compiler.ROOT])
    with bundle.search_path(compiler.ROOT):
        source = bundle.load_file(Path("contracts") / f"{name}.vy")
    settings = Settings(evm_version=compiler.EVM_VERSION, optimize=OptimizationLevel.GAS)
    data = CompilerData(source, input_bundle=bundle, settings=settings)
    made = []
    with bundle.search_path(compiler.ROOT), anchor_settings(settings):
        metadata = bytes.fromhex(data.integrity_sum)
        assembled = (
            ("runtime_bytecode", assembly_to_evm(data.assembly_runtime, compiler_metadata=None)),
            ("bytecode", assembly_to_evm(data.assembly, compiler_metadata=metadata)),
        )
    for key, (code, maps) in assembled:
        if code.hex() != artifact(name)[key][2:]:
            raise AssertionError(f"the artifact of {name} is not what its sources compile to")
        made.append(Code(code, maps["pc_raw_ast_map"]))
    return made


def _statements(module: Any) -> Iterator[tuple[Any, Any]]:
    """Every statement in a module's functions, each with the one before it in its block, or else with its function."""
    for function in module.get_children(vy_ast.FunctionDef):
        blocks = [(function.body, function)]
        while blocks:
            block, before = blocks.pop()
            for statement in block:
                yield statement, before
                before = statement
                if isinstance(statement, vy_ast.If):
                    # A block without code of its own must not pass for run because its `if` did.
                    blocks += [(statement.body, _NOTHING), (statement.orelse, _NOTHING)]
                elif isinstance(statement, vy_ast.For):
                    blocks.append((statement.body, _NOTHING))


def _ids(node: Any) -> Iterator[int]:
    """A node and what it is part of, up to its statement."""
    while node is not None:
        yield node.node_id
        if isinstance(node, (vy_ast.Stmt, vy_ast.For, vy_ast.If, vy_ast.FunctionDef)):
            return
        node = node.get_ancestor()


class _OnPyEvm:
    """Leaves out what runs on other engines: they do the same, and tell no program counters."""

    @staticmethod
    def pytest_collection_modifyitems(items: list[Any]) -> None:
        items[:] = [
            item
            for item in items
            if getattr(item, "callspec", _NO_CALL).params.get("engine", "py-evm") == "py-evm"
        ]


_NO_CALL = SimpleNamespace(params={})


def main() -> int:
    """Run the contracts' tests, print a line a module and what never ran; 1 if something did not."""
    files = [path for path in sorted(TESTS.glob("test_*.py")) if path.stem not in _NOT_COUNTED]
    tracer = Tracer()
    with tracer.watching():
        code = pytest.main(
            ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", *map(str, files)], plugins=[_OnPyEvm()]
        )
    if code:
        return int(code)
    report = tracer.report()
    print(f"{'module':<28} {'statements':>12} {'arms of if':>12}")
    for module in sorted({place.module for place in report.statements}):
        counts = []
        for every, missing in (
            ([p.module for p in report.statements], [p.module for p in report.missing_statements]),
            ([p.module for p, _ in report.arms], [p.module for p, _ in report.missing_arms]),
        ):
            total = every.count(module)
            counts.append(f"{total - missing.count(module)}/{total}")
        print(f"{module:<28} {counts[0]:>12} {counts[1]:>12}")
    print(*report.missing(), sep="\n")
    return 1 if report.missing() else 0


if __name__ == "__main__":
    sys.exit(main())
