"""Stand-ins that a prompt builder meets in the sandbox: session state, Streamlit, tokenizer, and refusals.

Runs in the child process, so it needs nothing but the standard library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from template_checks.renderers.web_ui.name_lists import split_names

# Streamlit and Gradio calls that only show something: they have no part in the prompt.
DISPLAY = frozenset(
    split_names(
        """
    write markdown text caption code json info error warning success toast title header subheader
    divider image chat_message container empty spinner expander columns status set_page_config
    sidebar form balloons
    """
    )
)
QUESTIONS = frozenset({"button", "form_submit_button"})


class RefusedError(Exception):
    """The script touched something that is not run here."""


class Captured(BaseException):
    """The prompt has reached the tokenizer: nothing after it matters. Not an Exception, so no handler stops it."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__()
        self.answer = answer


class AttributeDict(dict[str, Any]):
    """A message: a dict that also answers attributes, as pydantic models do."""

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise AttributeError(f"a message has no field {name!r}")

    def model_dump(self, **_: Any) -> dict[str, Any]:
        """The fields, as pydantic 2 gives them."""
        return dict(self)

    def dict(self, **_: Any) -> Any:
        """The fields, as pydantic 1 gives them."""
        return self.model_dump()


class SessionState(dict[str, Any]):
    """`st.session_state`: items and attributes are the same."""

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise AttributeError(f"st.session_state.{name} is not set")

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        self.pop(name, None)


class Quiet:
    """Takes every call and attribute, does nothing: loggers and display calls."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_: Any, **__: Any) -> Any:  # noqa: D102 — ruff counts it among the ordinary methods
        return self

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        return


class Blocked:
    """A name whose library is not run here: any use says so."""

    def __init__(self, what: str) -> None:
        object.__setattr__(self, "_what", what)

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise RefusedError(f"it uses {object.__getattribute__(self, '_what')}, which is not run here")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._refuse()

    __call__ = __getitem__ = __add__ = __radd__ = __iter__ = __len__ = __bool__ = __str__ = __format__ = _refuse
    __contains__ = __enter__ = __mod__ = __repr__ = _refuse


class Streamlit:
    """`st`: session state and the user's message, display calls that do nothing, and refusals."""

    def __init__(self, system: str | None, *, boxes_ask: bool) -> None:
        self.session_state = SessionState()
        self._message: str | None = None
        self._system = system
        self._boxes_ask = boxes_ask

    def __getattr__(self, name: str) -> Any:
        if name == "sidebar":
            return self
        if name in DISPLAY:
            return Quiet()
        if name in QUESTIONS:
            return lambda *_, **__: False
        raise RefusedError(f"it uses st.{name}, which is not run here")

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        return

    def start(self, session: dict[str, Any], message: str | None) -> None:
        """Put the app where it is when the user has just sent `message`."""
        self.session_state = SessionState(session)
        self._message = message

    def chat_input(self, *_: Any, **__: Any) -> str | None:
        """The user's message."""
        return self._message

    def text_input(self, label: str = "", value: Any = "", *_: Any, **__: Any) -> Any:
        """The system prompt where the label says so; else the user's message, unless `chat_input` takes that."""
        if "system" in str(label).lower():
            return value if self._system is None else self._system
        return self._message if self._boxes_ask else value

    text_area = text_input

    def checkbox(self, label: str = "", value: Any = False, *_: Any, **__: Any) -> Any:
        """Its value when the page starts."""
        return value

    toggle = checkbox

    def slider(
        self, label: str = "", min_value: Any = 0, max_value: Any = 100, value: Any = None, *_: Any, **__: Any
    ) -> Any:
        """Its value when the page starts: the lowest where none is given."""
        return min_value if value is None else value

    number_input = slider

    def selectbox(self, label: str = "", options: Any = (), index: Any = 0, *_: Any, **__: Any) -> Any:
        """Its value when the page starts."""
        return None if index is None else list(options)[index]

    radio = selectbox


class TokenizerStandIn:
    """Stands in for the script's tokenizer; the host has the real one."""

    def __init__(self, facts: dict[str, Any], ask: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        for name, value in facts.items():
            setattr(self, name, value)
        self._ask = ask

    def apply_chat_template(self, conversation: Any, **kwargs: Any) -> str:
        """The host renders; with `tokenize` left on, the ids go straight to the model."""
        tokenize = bool(kwargs.pop("tokenize", True))
        question = {"messages": conversation, "kwargs": kwargs}
        if tokenize:
            raise Captured({"template": question})
        answer = self._ask({"ask": question})
        return str(answer["text"])

    def __call__(self, text: Any, add_special_tokens: bool = True, **_: Any) -> Any:
        """End the run of the builder: this text is what the app tokenizes."""
        if isinstance(text, (list, tuple)) and len(text) == 1:
            text = text[0]
        if not isinstance(text, str):
            raise RefusedError(f"the tokenizer is given {type(text).__name__}, not one text")
        raise Captured({"text": text, "add_special_tokens": bool(add_special_tokens)})

    encode = encode_plus = __call__


class SessionProxy:
    """`from streamlit import session_state`: always the current one."""

    def __init__(self, streamlit: Streamlit) -> None:
        object.__setattr__(self, "_streamlit", streamlit)

    def _state(self) -> SessionState:
        state: SessionState = object.__getattribute__(self, "_streamlit").session_state
        return state

    def __getattr__(self, name: str) -> Any:
        return getattr(self._state(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._state()[name] = value

    def __getitem__(self, key: str) -> Any:
        return self._state()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._state()[key] = value

    def __contains__(self, key: object) -> bool:
        return key in self._state()


def safe_getattr(value: Any, name: str, *default: Any) -> Any:
    """`getattr` without underscores."""
    if not isinstance(name, str) or name.startswith("_"):
        raise RefusedError("getattr with an underscore name is refused in the sandbox")
    return getattr(value, name, *default)


def safe_hasattr(value: Any, name: str) -> bool:
    """`hasattr` without underscores."""
    return isinstance(name, str) and not name.startswith("_") and hasattr(value, name)


def records(value: Any) -> Any:
    """JSON values with every object a AttributeDict."""
    if isinstance(value, dict):
        return AttributeDict((key, records(item)) for key, item in value.items())
    if isinstance(value, list):
        return [records(item) for item in value]
    return value
