"""The table of methods: name, parameter parsers, function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from local_chain.rpc.quantities import InvalidParams, Json

F = TypeVar("F", bound=Callable[..., Json])


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter; ``required`` False lets it be absent or null, and then it is ``default``."""

    parser: Callable[[Json], Any]
    required: bool = True
    default: Any = None


@dataclass(frozen=True, slots=True)
class Method:
    """A function of the node and the parsed parameters. ``privileged`` methods answer on loopback only.

    ``over_socket`` ones need a connection that stays open: their function takes its ``Channel`` second.
    """

    name: str
    function: Callable[..., Json]
    params: tuple[Param, ...]
    privileged: bool
    over_socket: bool

    def parse(self, values: list[Json]) -> list[Any]:
        """The parsed parameters; InvalidParams that names the first wrong one."""
        if len(values) > len(self.params):
            raise InvalidParams(f"too many arguments, want at most {len(self.params)}")
        parsed: list[Any] = []
        for index, param in enumerate(self.params):
            value = values[index] if index < len(values) else None
            if value is None and not param.required:
                parsed.append(param.default)
            elif index >= len(values):
                raise InvalidParams(f"missing value for required argument {index}")
            else:
                try:
                    parsed.append(param.parser(value))
                except InvalidParams as error:
                    raise InvalidParams(f"invalid argument {index}: {error}") from error
        return parsed


METHODS: dict[str, Method] = {}


def method(
    name: str, *params: Param | Callable[[Json], Any], privileged: bool = False, over_socket: bool = False
) -> Callable[[F], F]:
    """Register the decorated function as the method ``name``."""

    def register(function: F) -> F:
        declared = tuple(param if isinstance(param, Param) else Param(param) for param in params)
        METHODS[name] = Method(name, function, declared, privileged, over_socket)
        return function

    return register


def optional(parser: Callable[[Json], Any], default: Any = None) -> Param:
    """A parameter that may be absent or null."""
    return Param(parser, required=False, default=default)
