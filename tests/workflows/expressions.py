"""The expressions of a workflow, evaluated as GitHub does: operators, contexts and the functions that ours use."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

_TOKEN = re.compile(r"'(?:[^']|'')*'|&&|\|\||!=|==|!|[A-Za-z_][\w.*-]*|[(),]|\s+")
_OPERATORS = {"&&": " and ", "||": " or ", "!": " not ", "true": "True", "false": "False"}

Context = Mapping[str, Any]
"""`github.event_name` -> value. A name that is missing is an error, but for `vars`, which may be unset."""


def evaluate(expression: str, context: Context, *, failed: bool = False, cancelled: bool = False) -> Any:
    """Return the value of an expression without `${{ }}`. Raises KeyError for a context that is not given."""

    def value_of(name: str) -> Any:
        if name not in context and name.startswith("vars."):
            return ""
        return context[name]

    functions: dict[str, Callable[..., Any]] = {
        "value_of": value_of,
        "failure": lambda: failed,
        "cancelled": lambda: cancelled,
        "toJSON": lambda value: json.dumps(value, indent=2),
        "fromJSON": json.loads,
    }
    tokens = _TOKEN.findall(expression)
    assert "".join(tokens) == expression, f"not understood: {expression}"
    python = "".join(_python(token, functions) for token in tokens).strip()
    return eval(python, {"__builtins__": {}}, functions)  # noqa: S307 the expressions are those of this repository


def _python(token: str, functions: Mapping[str, Any]) -> str:
    if token in _OPERATORS:
        return _OPERATORS[token]
    if token.isspace():
        return " "
    if token.startswith("'"):
        return repr(token[1:-1].replace("''", "'"))
    return f"value_of({token!r})" if re.match("[A-Za-z_]", token) and token not in functions else token


def filled(text: str, context: Context) -> str:
    """Return a text with the values of its expressions."""
    return re.sub(r"\$\{\{(.*?)\}\}", lambda found: str(evaluate(found[1].strip(), context)), text)


def holds(condition: str | None, context: Context, *, failed: bool = False) -> bool:
    """Return whether a job or step with this `if` runs. Without a function of its own it needs success."""
    text = re.fullmatch(r"(?s)\s*(?:\$\{\{(.*)\}\}|(.*?))\s*", condition or "true")
    assert text
    expression = (text[1] or text[2]).strip()
    asks_itself = re.search(r"\b(failure|cancelled|always|success)\(", expression)
    return (bool(asks_itself) or not failed) and bool(evaluate(expression, context, failed=failed))
