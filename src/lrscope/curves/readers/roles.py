"""Which of the columns or tags at hand plays which part."""

from __future__ import annotations

from collections.abc import Mapping

from lrscope.curves.readers.names import ROLES


def assign_roles(counts: Mapping[str, int]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Role -> name for the names at hand, and remarks where there was a choice.

    Arguments:
        counts: how many values each name has. A name with less than a tenth of the values of the fullest candidate
            is a summary of it (such as the mean loss that ends a log) and goes last.
    """
    roles: dict[str, str] = {}
    notes: list[str] = []
    for role, rank in ROLES.items():
        ranked = [(fit, name) for name, count in counts.items() if count and (fit := rank(name)) is not None]
        if not ranked:
            continue
        most = max(counts[name] for _, name in ranked)
        ranked.sort(key=lambda pair: (10 * counts[pair[1]] < most, pair[0]))
        roles[role] = ranked[0][1]
        if len(ranked) > 1 and role in ("loss", "val_loss", "lr"):
            others = ", ".join(f"'{name}'" for _, name in ranked[1:4]) + (", …" if len(ranked) > 4 else "")
            notes.append(f"{role.replace('_', ' ')} taken from '{roles[role]}' (not from {others})")
    if "loss" not in roles and "val_loss" in roles:
        roles["loss"] = roles.pop("val_loss")
        notes.append(f"no training loss: '{roles['loss']}' is taken as the loss")
    return roles, tuple(notes)
