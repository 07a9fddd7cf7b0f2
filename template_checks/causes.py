"""The closed list of likely causes. What fits none of them is `unknown`, and said so."""

from __future__ import annotations

from enum import Enum


class Cause(str, Enum):
    """Why two renderings differ, or a property does not hold. The value is what records hold."""

    SCAFFOLD_WHITE_SPACE = "scaffold white space"
    MISSING_NEWLINE = "missing newline"
    DUPLICATED_BOS = "duplicated BOS"
    MISSING_BOS = "missing BOS"
    INJECTED_SYSTEM = "injected system text"
    EXTRA_SCAFFOLD = "extra scaffold"
    MISSING_SCAFFOLD = "missing scaffold"
    OTHER_MARKER = "other marker"
    DROPPED_CONTENT = "dropped content"
    EMPTY_MESSAGE_DROPPED = "empty message dropped"
    STRIPPED_CONTENT = "stripped content"
    ALTERED_CONTENT = "altered content"
    SEAM = "seam"
    TAIL = "tail"
    OTHER_TOKENS = "same text, other tokens"
    MISSING_STOP = "missing stop token"
    STOP_NOT_SERVED = "stop not served"
    STOP_NOT_TRAINED = "stop not trained"
    STOP_NOT_A_TOKEN = "stop is not one token"
    STOP_OUTSIDE_VOCABULARY = "stop outside the vocabulary"
    SPECIAL_TOKEN_MOVED = "special token has another id"
    TRAINED_PROMPT = "prompt is supervised"
    MASKED_ANSWER = "answer is not supervised"
    UNKNOWN = "cause unknown"
