"""Output units for concepts that a network has none for, grafted on: a linear probe, or a category of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from ambench import features, naming
from ambench.categories import sixteen
from ambench.core import Concepts, Layer, Model, Randomness, Skipped, nearest
from ambench.forward import watched

FEWEST = 5  # examples of either kind, below which a probe is refused


class Grafted(nn.Module):
    """A network with more output units: [B, *input] -> [B, U + new], in one forward of it.

    A new unit is `weight` [new, C] times the layer's grid averaged over cells, plus `bias` [new].
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, network: nn.Module, layer: Layer, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.network = network
        self._layer = layer
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, images: Tensor) -> Tensor:
        """Return the network's logits, then those of the new units."""
        new: list[Tensor] = []

        def probe(name: str, module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
            assert isinstance(output, Tensor)
            pooled = features.pool(self._layer.as_grid(output), "mean")  # [B, C]
            new.append(nn.functional.linear(pooled, self.weight, self.bias))

        with watched({self._layer.name: self._layer.module}, probe):
            logits = self.network(images)
        return torch.cat([logits, *new], dim=1)


def with_probe_units(model: Model, concepts: Concepts, names: Sequence[str], randomness: Randomness) -> Model:
    """Return the model with an output unit more for each of some concepts, the log-odds of a linear probe.

    The probe is a logistic regression (C 1, balanced) on the default layer's mean-pooled features, centred and divided
    by one scale. Raises Skipped for a concept without enough examples.
    """
    grids = features.read(model, concepts.images)[model.layer] if len(concepts) else concepts.images
    pooled = features.pool(grids, "mean").double()  # [N, C]
    fits = [_fit(pooled, _present(model, concepts, name), randomness.child("probe unit", name)) for name in names]
    like = features.logits(model, concepts.images[:1])
    weight, bias = (torch.stack(parts).to(like) for parts in zip(*fits, strict=True))
    first = like.shape[1]
    return replace(
        model,
        network=Grafted(model.network, model.at(None), weight, bias).eval(),
        weights=f"{model.weights}+probes({','.join(names)})",
        units={**model.units, **{name: first + number for number, name in enumerate(names)}},
    )


class Categorised(nn.Module):
    """A network with a unit more for each of some groups of its outputs: the log of the mean of their exponentials."""

    def __init__(self, network: nn.Module, members: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.network = network
        self._members = members

    def forward(self, images: Tensor) -> Tensor:
        """Return the network's logits, then those of the new units."""
        logits = self.network(images)
        return torch.cat([logits, naming.log_means(logits, self._members)], dim=1)


def with_categories(model: Model, names: Sequence[str]) -> Model:
    """Return a network of ImageNet's classes with an output unit more for each of some of the sixteen categories.

    They are in the order of their classes' mean probabilities, as Geirhos et al. (2019) let a network answer.
    """
    members = [[model.class_units[number] for number in sixteen()[name]] for name in names]
    first = features.logits(model, torch.zeros(1, *model.input_shape, device=model.device)).shape[1]
    return replace(
        model,
        network=Categorised(model.network, members).eval(),
        weights=f"{model.weights}+categories({','.join(names)})",
        units={**model.units, **{name: first + number for number, name in enumerate(names)}},
    )


def _present(model: Model, concepts: Concepts, name: str) -> Tensor:
    shown = concepts.present[:, concepts.names.index(name)] if name in concepts.names else torch.zeros(0).bool()
    positives, negatives = int(shown.sum()), int((~shown).sum())
    if not positives or not negatives:
        hint = nearest(name, model.units)
        close = f"; {hint}" if "did you mean" in hint else ""
        reason = f"concept '{name}' has no output unit in model '{model.name}' and no examples to fit a probe"
        raise Skipped(reason + close)
    if min(positives, negatives) < FEWEST:
        raise Skipped(
            f"concept '{name}' has no output unit in model '{model.name}', and {positives} examples with and "
            f"{negatives} without it are too few to fit a probe ({FEWEST} of each are needed)"
        )
    return shown


def _fit(pooled: Tensor, shown: Tensor, randomness: Randomness) -> tuple[Tensor, Tensor]:
    """Return weight [C] and bias of the log-odds, the scaling folded in."""
    mean = pooled.mean(0)  # [C]
    scale = (pooled - mean).std().clamp_min(1e-12)
    seed = int(torch.randint(1 << 31, (), generator=randomness.generator()))
    probe = LogisticRegression(C=1.0, class_weight="balanced", max_iter=1000, random_state=seed)
    probe.fit(((pooled - mean) / scale).cpu().numpy(), shown.cpu().numpy())
    weight = torch.as_tensor(probe.coef_[0], dtype=torch.float64, device=pooled.device) / scale
    return weight, float(probe.intercept_[0]) - weight @ mean
