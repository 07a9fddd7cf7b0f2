"""Every token that can merge across the seams of a renderer that tokenizes in pieces. Nothing is sampled.

A seam is where one piece ends and the next begins. Tokenized whole, a token may reach across it; tokenized in pieces,
it cannot. Which tokens can is read off the vocabulary: those whose text is an end of what stands before the seam
followed by a beginning of what stands behind it. Each is then confirmed by encoding both ways.

That a candidate is tried with nothing more than the content it needs is enough for BPE without pre-tokenizer: a token
boundary behind it means that nothing behind it took part in a merge. Pre-tokenizers look ahead, so a few
continuations are tried as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from template_checks.conversation import Conversation, Message
from template_checks.divergence.model import scaffold_place
from template_checks.errors import RenderError, Unsupported
from template_checks.renderers import Renderer
from template_checks.rendering import Rendering, Segment
from template_checks.tokenizer import Tokenizer

_CONTINUATIONS = ("", "0", " 0", "\n0")
"""Content behind a candidate, because pre-tokenizers look ahead."""

_SAMPLE = ("qz0vxk0zq", "qz1vxk1zq", "qz2vxk2zq", "qz3vxk3zq", "qz4vxk4zq")


@dataclass(frozen=True)
class Seam:
    """A place where pieces meet: scaffold against scaffold, or scaffold against the content of a message.

    `before` and `behind` are the fixed text on both sides, as far as it is fixed; `free` says which side is a
    content: `behind`, `before`, or None.
    """

    name: str
    place: str
    before: str
    behind: str
    free: str | None
    message: int | None


@dataclass(frozen=True)
class Crossing:
    """A token that merges across a seam, with content that provokes it.

    `whole` and `pieces` are the ids of the whole text and of its pieces, each from the last id both share.
    """

    seam: Seam
    id: int
    text: str
    content: str | None
    conversation: Conversation
    whole: tuple[int, ...]
    pieces: tuple[int, ...]


def find_seams(renderer: Renderer) -> list[Seam]:
    """The seams of a renderer, each kind once, from its rendering of a conversation of two turns.

    Raises:
        Unsupported, RenderError: the renderer cannot render plain conversations.
    """
    found: dict[tuple[str, str, str | None], Seam] = {}
    for roles in (("user", "assistant", "user", "assistant"), ("system", "user", "assistant", "user", "assistant")):
        conversation = _sample(roles)
        try:
            rendering = renderer.render(conversation, "train")
        except Unsupported:
            if roles[0] == "system":
                continue
            raise
        for seam in _seams_of(rendering, conversation):
            found.setdefault((seam.before, seam.behind, seam.free), seam)
    return list(found.values())


def _sample(roles: tuple[str, ...]) -> Conversation:
    return Conversation(tuple(Message(role, content) for role, content in zip(roles, _SAMPLE, strict=False)))


def _seams_of(rendering: Rendering, conversation: Conversation) -> Iterator[Seam]:
    segments = rendering.segments(len(conversation.messages)) or []
    text = rendering.text
    for position in sorted(rendering.seams):
        left = next(s for s in reversed(segments) if s.start < position <= s.end)
        right = next(s for s in segments if s.start <= position < s.end)
        if left.kind == right.kind == "content" and left is right:
            continue  # a seam inside a content would need more than content to provoke it
        free = "behind" if right.kind == "content" else "before" if left.kind == "content" else None
        message = right.message if free == "behind" else left.message if free == "before" else None
        yield Seam(
            _name(conversation, left, right),
            scaffold_place(conversation, min(left.message, right.message) if free != "before" else left.message + 1),
            "" if free == "before" else text[left.start : position],
            "" if free == "behind" else text[position : right.end],
            free,
            message,
        )


def _name(conversation: Conversation, left: Segment, right: Segment) -> str:
    roles = (*conversation.roles, "end")
    names = [
        f"{roles[segment.message]} content" if segment.kind == "content" else "scaffold" for segment in (left, right)
    ]
    return " | ".join(names)


def crossings(renderer: Renderer, seam: Seam) -> list[Crossing]:
    """Every token that merges across one seam, confirmed by encoding, in order of id."""
    tokenizer = renderer.tokenizer
    found = []
    for index, data in vocabulary(tokenizer):
        for content in _contents(seam, data):
            crossing = _confirm(renderer, seam, index, content)
            if crossing is not None:
                found.append(crossing)
                break
    return found


def _contents(seam: Seam, data: bytes) -> Iterator[str | None]:
    """Contents with which a token of these bytes could reach across the seam."""
    before, behind = seam.before.encode(), seam.behind.encode()
    if seam.free is None:
        if any(before.endswith(data[:n]) and behind.startswith(data[n:]) for n in range(1, len(data))):
            yield None
        return
    for n in range(1, len(data)):
        if seam.free == "behind" and before.endswith(data[:n]):
            for content in _completed(data[n:]):
                yield from (content + more for more in _CONTINUATIONS)
        if seam.free == "before" and behind.startswith(data[n:]):
            try:
                content = data[:n].decode()
            except UnicodeDecodeError:
                continue
            yield from (content, f"0{content}", f"0 {content}")


def _completed(data: bytes) -> Iterator[str]:
    """`data` as text; a character that is cut off is completed."""
    for more in (b"", b"\x80", b"\x80\x80", b"\x80\x80\x80", b"\xa0", b"\xa0\x80"):
        try:
            yield (data + more).decode()
        except UnicodeDecodeError:
            continue
        return


def _confirm(renderer: Renderer, seam: Seam, index: int, content: str | None) -> Crossing | None:
    conversation = _provoking(seam, content)
    try:
        rendering = renderer.render(conversation, "train")
    except (Unsupported, RenderError):
        return None
    whole = renderer.tokenizer.encode(rendering.text)
    spans = whole.offsets()
    if spans is None:
        return None
    crossing = any(
        whole.ids[n] == index and any(start < position < end for position in rendering.seams)
        for n, (start, end) in enumerate(spans)
    )
    if not crossing:
        return None
    pieces = tuple(i for piece in rendering.pieces if piece.text for i in piece.encoded.ids)
    shared = next(n for n, (a, b) in enumerate(zip(whole.ids, pieces, strict=False)) if a != b)
    token = renderer.tokenizer.token(index)
    return Crossing(seam, index, token, content, conversation, whole.ids[shared:], pieces[shared:])


def _provoking(seam: Seam, content: str | None) -> Conversation:
    roles = ("user", "assistant") if seam.message is None or seam.message < 2 else ("user", "assistant") * 2
    if seam.free is None:
        return Conversation.of(("user", ""), ("assistant", ""), ("user", ""), ("assistant", ""))
    role = "assistant" if "assistant content" in seam.name else "user"
    first = "user" if roles[0] == "user" else "system"
    if role == first:
        return Conversation.of(("user", content or ""), ("assistant", ""))
    return Conversation.of(("user", ""), ("assistant", content or ""))


@cache
def _byte_of() -> dict[str, int]:
    """GPT-2's map from bytes to printable characters, inverted: how byte-level vocabularies spell bytes."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    spelled = {chr(byte): byte for byte in printable}
    others = [byte for byte in range(0x100) if byte not in printable]
    return spelled | {chr(0x100 + n): byte for n, byte in enumerate(others)}


def vocabulary(tokenizer: Tokenizer) -> list[tuple[int, bytes]]:
    """(id, bytes) of each ordinary token: of byte-level vocabularies, and of those that spell a space as U+2581."""
    backend = tokenizer.hf.backend_tokenizer
    control = set(tokenizer.control_tokens.values())
    byte_level = "ByteLevel" in str(type(backend.decoder)) or "ByteLevel" in str(backend.pre_tokenizer)
    tokens = []
    for name, index in sorted(backend.get_vocab(with_added_tokens=False).items(), key=lambda item: item[1]):
        if index in control:
            continue
        if byte_level:
            if all(character in _byte_of() for character in name):
                tokens.append((index, bytes(_byte_of()[character] for character in name)))
        elif name.startswith("<0x") and len(name) == 6:
            tokens.append((index, bytes([int(name[3:5], 16)])))
        else:
            tokens.append((index, name.replace("\u2581", " ").encode()))
    return tokens
