"""How much a run looks at."""

from __future__ import annotations

import random
from dataclasses import dataclass

from template_checks.core.errors import UsageError
from template_checks.core.suggest import suggest


@dataclass(frozen=True)
class Profile:
    """`draws`: how many conversations Hypothesis draws, besides fixed ones. `seed` None: a new one each run."""

    name: str
    draws: int
    seed: int | None
    purpose: str


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("dev", 100, None, "quick, new conversations each run"),
        Profile("ci", 300, 0, "the same conversations each run"),
        Profile("signoff", 3000, None, "thorough, before a deployment"),
    )
}


def get_profile(name: str, seed: int | None) -> tuple[Profile, int]:
    """The profile and the seed to use.

    Raises:
        UsageError: no such profile.
    """
    if name not in PROFILES:
        raise UsageError(f"Unknown profile {name!r}.", hint=suggest(name, PROFILES, "profiles"))
    profile = PROFILES[name]
    if seed is None:
        seed = profile.seed if profile.seed is not None else random.randrange(2**32)
    return profile, seed
