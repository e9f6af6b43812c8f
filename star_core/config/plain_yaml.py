"""YAML of which every line means what it seems to, to us and to DVC."""

from __future__ import annotations

import re
from typing import Any

import yaml

_NUMBERS = {
    "tag:yaml.org,2002:int": r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0o[0-7_]+|[0-9_]+)",
    "tag:yaml.org,2002:float": r"[-+]?(?:(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9_]+)(?:[eE][-+]?[0-9]+)?"
    r"|[0-9][0-9_]*[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)",
}
"""Numbers of YAML 1.2, in which DVC reads and writes; PyYAML has those of YAML 1.1."""
_NO_TEXT = {*_NUMBERS, "tag:yaml.org,2002:bool", "tag:yaml.org,2002:null"}


class PlainLoader(yaml.SafeLoader):
    """YAML without aliases, which can blow up, and without a key twice, of which one is lost."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuses an alias."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not read here; write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Refuses a key that was there before."""
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.YAMLError(
                    f"the key {key.value!r} stands twice, again in line {key.start_mark.line + 1}"
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class ParamsLoader(PlainLoader):
    """Parameters, as DVC reads them: ``1e-3`` is a number, ``010`` is ten, ``1:30`` is text."""

    def construct_yaml_int(self, node: Any) -> int:
        """Zeros in front mean nothing; ``0b``, ``0o`` and ``0x`` do."""
        digits = self.construct_scalar(node).replace("_", "")
        return int(digits, 0 if re.match("[-+]?0[box]", digits) else 10)


class PlainDumper(yaml.SafeDumper):
    """Quotes every text that YAML 1.1 or 1.2 would read as something else."""


ParamsLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _NUMBERS]
    for first, resolvers in PlainLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern in _NUMBERS.items():
    for _class in (ParamsLoader, PlainDumper):
        _class.add_implicit_resolver(_tag, re.compile(f"(?:{_pattern})$"), list("-+.0123456789"))
ParamsLoader.add_constructor("tag:yaml.org,2002:int", ParamsLoader.construct_yaml_int)


def to_yaml(values: Any) -> str:
    """Plain values as a file that PyYAML, DVC and we read back equal."""
    return str(yaml.dump(values, Dumper=PlainDumper, sort_keys=False))


def is_text(word: str) -> bool:
    """Whether no dialect of YAML reads a word that is not quoted as a number, a boolean or null."""
    resolvers = PlainDumper.yaml_implicit_resolvers.get(word[:1], [])
    return not any(tag in _NO_TEXT and pattern.match(word) for tag, pattern in resolvers)
