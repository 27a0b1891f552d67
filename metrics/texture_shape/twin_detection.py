"""Whether an explanation tells a network from its twin that answers by texture, and in the right direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from ambench import features, naming
from ambench.core import Better, Heatmaps, Metric, Skipped, Trial, Twin, Values
from ambench.finite import refuse_broken

from ._evidence import on_outline

OTHER: dict[str, Literal["shape", "texture"]] = {"shape": "texture", "texture": "shape"}


@dataclass(frozen=True)
class TwinDetection(Metric[Heatmaps]):
    """1 where this network's map has more evidence on the outline than its twin's, .5 where as much; up, [0, 1].

    Ours. The network should answer by shape and the `twin` by texture (left open: the embedded one of the same name,
    `cnn-texture` for `cnn`, and the reverse); the evidence is that of `shape_evidence`, and .5 is blind. Only images
    whose cues conflict count, and of which each network names the class of its own cue. `target`: each explains the
    class of its `own` cue, or that of the `other`; where both say the same, the evidence belongs to the network and not
    to what it is asked.

    Evidence differs between any two networks, so a number means little without a null band: twins trained alike from
    other seeds. Swapping the two gives 1 less the value, a network beside itself .5.

    >>> import torch
    >>> from ambench import toy
    >>> from ambench.core import Case, Truth
    >>> square = torch.zeros(1, 16, 16, dtype=torch.bool)
    >>> square[:, 2:14, 2:14] = True
    >>> truth = Truth(torch.ones(1, 1).bool(), object=square, shape=torch.tensor([0]), texture=torch.tensor([1]))
    >>> red = torch.tensor([0.9, 0.0, 0.0]).view(1, 3, 1, 1).expand(1, 3, 16, 16)  # the toy network names class 0
    >>> case = Case(red, torch.zeros(1, 1).long(), truth, ("a",))
    >>> inside, beside = (Heatmaps(torch.zeros(1, 1), where[:, None].float()) for where in (square, ~square))
    >>> twin = lambda name: Twin(toy.network(), lambda images, units, case: inside if name else beside)
    >>> trial = Trial(toy.network(), case, beside, None, None, None, classes=("red", "green", "blue"), twin=twin)
    >>> TwinDetection(twin="another").score(trial).values.item()
    1.0
    """

    reads: ClassVar[type[Heatmaps]] = Heatmaps
    families: ClassVar[tuple[str, ...]] = ("attribution",)
    standard: ClassVar[bool] = False
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    chance: ClassVar[float | None] = 0.5
    needs: ClassVar[tuple[str, ...]] = ("object", "shape", "texture")

    twin: str = ""
    target: Literal["own", "other"] = "own"

    def score(self, trial: Trial[Heatmaps]) -> Values | None:
        """Return one value for each image, the same for every concept asked of it [B, T]; None without a twin."""
        truth = trial.case.truth
        if trial.twin is None or truth.object is None or truth.shape is None or truth.texture is None:
            return None
        refuse_broken(trial, trial.explanation.values, "map")
        cues = {"shape": truth.shape.long(), "texture": truth.texture.long()}
        here: Values = trial.share(("class evidence", self.target), lambda: self._evidence(trial, None, cues))
        there = self._evidence(trial, self.twin or namesake(trial.model.name), cues)
        gap = here.values - there.values  # [B, 1]
        won = (gap > 0).double() + (gap == 0).double() / 2
        defined = here.defined & there.defined & (cues["shape"] != cues["texture"])[:, None]
        columns = trial.case.targets.shape[1]
        won, defined, flat = (part.expand(-1, columns) for part in (won, defined, here.flat & there.flat))
        return Values.of(won, defined, flat)

    def _evidence(self, trial: Trial[Heatmaps], name: str | None, cues: dict[str, Tensor]) -> Values:
        """Return a network's evidence on the outline [B, 1], defined where it names the class of its own cue."""
        assert trial.twin is not None
        side = trial.twin(name)
        cue = naming.cue_of(side.model, trial.classes)
        units = naming.units_of(side.model, trial.classes)[cues[cue if self.target == "own" else OTHER[cue]]]
        maps = side.attribute(trial.case.images, units[:, None], trial.case)
        if not isinstance(maps, Heatmaps):
            raise Skipped("the method says nothing about where, so its maps have no outline")
        found = on_outline(trial, maps)
        assert found is not None
        right = _names(side, trial, cues[cue])[:, None]
        return Values(found.values, found.defined & right, found.flat)


def _names(side: Twin, trial: Trial[Heatmaps], classes: Tensor) -> Tensor:
    """Return of which images a network names these classes [B] bool."""
    evidence, columns = naming.evidence(side.model, features.logits(side.model, trial.case.images), trial.classes)
    return evidence.argmax(1) == columns[classes]


def namesake(name: str) -> str:
    """Return the embedded network of the same architecture that answers by the other cue.

    >>> namesake("cnn@other.safetensors"), namesake("vit-texture")
    ('cnn-texture', 'vit')
    """
    architecture = name.partition("@")[0]
    return architecture.removesuffix("-texture") if architecture.endswith("-texture") else f"{architecture}-texture"
