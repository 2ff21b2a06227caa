# SPDX-License-Identifier: Apache-2.0
"""Chat templates: a conversation as the text that a model was trained to read. Jinja, in a sandbox."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from cowabungaai_sdk.models import ModelError

MAX_TEMPLATE = 1_048_576
"""The largest template file, in bytes."""

STOPS = {"alpaca": ("### Instruction:", "### Response:"), "plain": ("\nUser:",)}
"""What ends an answer, for templates whose turns end with no token of their own."""


class RefusedError(Exception):
    """The template says that it cannot write this conversation; the message is its own."""


class ChatTemplate:
    """A compiled template.

    Args:
        source: its Jinja text.
        bos: the text of the token that begins a text.
        eos: the text of the token that ends one.
        name: of a built-in one; None for any other.

    Raises:
        ModelError: it is no Jinja.
    """

    def __init__(self, source: str, bos: str, eos: str, name: str | None = None) -> None:
        self.source = source
        self.stops: tuple[str, ...] = STOPS.get(name or "", ())
        self._bos = bos
        self._eos = eos
        # As Hugging Face's, for which templates are written.
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = _now
        try:
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise ModelError(
                f"the chat template is no Jinja: {error}; mend it, or give another one by --chat-template"
            ) from error

    @property
    def knows_tools(self) -> bool:
        """Whether it writes tools itself."""
        return "tools" in self.source

    def mentions(self, word: str) -> bool:
        """Whether a word is in the template.

        Args:
            word: such as the name of a variable.
        """
        return word in self.source

    def render(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None, **variables: Any
    ) -> str:
        """Writes a conversation, up to where the answer begins.

        Args:
            messages: as OpenAI has them, the content being a text.
            tools: as OpenAI has them; None where there are none.
            variables: further ones that the template may look at.

        Raises:
            RefusedError: the template cannot write it.
        """
        try:
            return self._template.render(
                messages=messages,
                tools=tools,
                add_generation_prompt=True,
                bos_token=self._bos,
                eos_token=self._eos,
                **variables,
            )
        except TemplateError as error:
            raise RefusedError(str(error)) from error
        # What a template does with a conversation that its author did not think of.
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RecursionError) as error:
            raise RefusedError(f"the template fails on it ({type(error).__name__})") from error


def names() -> list[str]:
    """The names of the built-in templates."""
    folder = resources.files("cowabungaai_llama_cpp") / "templates"
    return sorted(entry.name.removesuffix(".jinja") for entry in folder.iterdir() if entry.name.endswith(".jinja"))


def read(given: str) -> tuple[str, str | None]:
    """The template that a setting chooses.

    Args:
        given: a built-in one's name, or a file.

    Returns:
        Its text, and its name where it is built in.

    Raises:
        ModelError: it is neither.
    """
    if given in names():
        return (resources.files("cowabungaai_llama_cpp") / "templates" / f"{given}.jinja").read_text(), given
    path = Path(given)
    if not path.is_file():
        known = ", ".join(names())
        raise ModelError(f"--chat-template {given!r} is neither a file nor the name of a template; expected {known}")
    data = path.read_bytes()
    if len(data) > MAX_TEMPLATE:
        raise ModelError(f"--chat-template {given!r} has {len(data)} bytes; expected at most {MAX_TEMPLATE}")
    return data.decode(errors="replace"), None


def _to_json(value: Any, indent: int | None = None, **others: Any) -> str:
    # Jinja's own escapes what HTML cannot have, which models never saw.
    return json.dumps(value, ensure_ascii=False, indent=indent, default=str)


def _refuse(message: object) -> NoReturn:
    raise TemplateError(str(message))


def _now(form: str) -> str:
    return datetime.now(UTC).strftime(form)
