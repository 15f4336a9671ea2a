"""Names that the official codes of ActionFormer and of GroundNLQ share, for their key tables.

GroundNLQ is made of ActionFormer's parts: blocks of attention with convolved queries, keys and
values, stacks of convolutions with norms. Gains are (1, C, 1) there and (C,) here, as are layer
norms in GroundNLQ; 1x1 convolutions are (C, C, 1) there and (C, C) linear maps here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from torch import Tensor

from egolib.io.key_table import Rule

Norm = Callable[[str, str], Rule]  #: from our name and theirs to the rule of a layer norm


def channels(ours: str, official: str) -> Rule:
    """A value for each channel: (1, C, 1) there, (C,) here."""
    return Rule(ours, official, lambda x: x.reshape(-1), lambda x: x.reshape(1, -1, 1))


def linear(ours: str, official: str) -> list[Rule]:
    """A 1x1 convolution there, a linear map here."""
    weight = Rule(
        f"{ours}.weight", f"{official}.weight", lambda x: x.squeeze(2), lambda x: x.unsqueeze(2)
    )
    return [weight, Rule(f"{ours}.bias", f"{official}.bias")]


def block(ours: str, official: str, norm: Norm) -> list[Rule]:
    """A block: attention to neighbours, then a small network.

    Args:
        ours: our name of it, with placeholders.
        official: theirs.
        norm: how its layer norms are stored.
    """
    rules = [
        norm(f"{ours}.attention_norm.{{kind}}", f"{official}.ln1.{{kind}}"),
        norm(f"{ours}.mlp_norm.{{kind}}", f"{official}.ln2.{{kind}}"),
        channels(f"{ours}.attention_depth.gain", f"{official}.drop_path_attn.scale"),
        channels(f"{ours}.mlp_depth.gain", f"{official}.drop_path_mlp.scale"),
        *linear(f"{ours}.expand", f"{official}.mlp.0"),
        *linear(f"{ours}.contract", f"{official}.mlp.3"),
        *linear(f"{ours}.attention.output", f"{official}.attn.proj"),
    ]
    for part in ("query", "key", "value"):
        own = f"{ours}.attention.{part}"
        rules += [
            Rule(f"{own}.conv.weight", f"{official}.attn.{part}_conv.conv.weight"),
            norm(f"{own}.norm.{{kind}}", f"{official}.attn.{part}_norm.{{kind}}"),
            *linear(f"{own}.linear", f"{official}.attn.{part}"),
        ]
    return rules


def stack(ours: str, convs: str, norms: str, norm: Norm) -> list[Rule]:
    """Convolutions, each with its norm.

    Args:
        ours: our name of it.
        convs: theirs of a convolution, with the placeholder ``{i}``.
        norms: theirs of a norm, with the same.
        norm: how they are stored.
    """
    return [
        Rule(f"{ours}.convs.{{i}}.{{kind}}", f"{convs}.{{kind}}"),
        norm(f"{ours}.norms.{{i}}.{{kind}}", f"{norms}.{{kind}}"),
    ]


def count(state: Mapping[str, Tensor], prefix: str) -> int:
    """How many numbered parts of a state dict there are below a name."""
    pattern = re.compile(re.escape(prefix) + r"\.(\d+)\.")
    return len({m.group(1) for name in state if (m := pattern.match(name))})
