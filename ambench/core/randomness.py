"""Chance keyed by what it belongs to, never by what was drawn before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


def generator(*key: Hashable) -> torch.Generator:
    """Return a CPU generator whose stream depends on the key alone, never on what was drawn before.

    >>> a, b = generator(0, "actmax"), generator(0, "actmax")
    >>> bool(torch.equal(torch.rand(3, generator=a), torch.rand(3, generator=b)))
    True
    """
    digest = hashlib.blake2b("\x1f".join(map(repr, key)).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


@dataclass(frozen=True)
class Randomness:
    """All the chance a component may use: streams keyed by seed, component, image id and repeat.

    Row b of a per-image draw depends on `key` and `ids[b]` only, so neither batch size nor order can change it, and an
    image and its perturbed copy, which keep the same id, share their noise.

    >>> whole, part = Randomness((0, "m"), ("a", "b")), Randomness((0, "m"), ("b",))
    >>> bool(torch.equal(whole.normal(4)[1:], part.normal(4)))
    True
    """

    key: tuple[Hashable, ...]
    ids: tuple[str, ...] = ()

    def generator(self, *more: Hashable) -> torch.Generator:
        """Return the stream of this component for one purpose, whatever the images."""
        return generator(*self.key, *more)

    def normal(self, *shape: int, repeat: int = 0) -> Tensor:
        """Return standard normal numbers [B, *shape], one independent stream an image."""
        return self._per_image(lambda g: torch.randn(shape, generator=g), shape, repeat)

    def uniform(self, *shape: int, repeat: int = 0) -> Tensor:
        """Return numbers uniform in [0, 1) [B, *shape], one independent stream an image."""
        return self._per_image(lambda g: torch.rand(shape, generator=g), shape, repeat)

    def select(self, rows: Sequence[int]) -> Randomness:
        """Return the randomness of some of the images."""
        return replace(self, ids=tuple(self.ids[row] for row in rows))

    def child(self, *more: Hashable) -> Randomness:
        """Return an independent randomness for a part of the component."""
        return replace(self, key=(*self.key, *more))

    def _per_image(self, draw: Callable[[torch.Generator], Tensor], shape: tuple[int, ...], repeat: int) -> Tensor:
        if not self.ids:
            return torch.empty(0, *shape)
        return torch.stack([draw(generator(*self.key, name, repeat)) for name in self.ids])  # [B, *shape]
