"""Error consistency of two observers, held against scikit-learn's kappa, scipy's interval and counting by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from ambench import consistency

NAMES = ("cat", "dog", "car")


def trials(answers: dict[str, np.ndarray], group: str = "people", exemplars: int = 40) -> pd.DataFrame:
    """Observers' trials of as many stimuli; an answer [n] bool is right or wrong."""
    parts = []
    for observer, right in answers.items():
        shape = [NAMES[i % 3] for i in range(len(right))]
        said = [name if good else NAMES[NAMES.index(name) - 1] for name, good in zip(shape, right, strict=True)]
        exemplar = [f"{name}{i % exemplars}" for i, name in enumerate(shape)]
        texture = [f"car{i // exemplars}" for i in range(len(right))]
        columns = {"shape": shape, "response": said, "exemplar": exemplar, "texture": texture}
        parts.append(pd.DataFrame(columns).assign(group=group, observer=observer, condition="0"))
    return pd.concat(parts, ignore_index=True)


def drawn(count: int, share: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(count) < share


class TestKappa:
    def test_it_equals_scikit_learns_on_right_and_wrong(self) -> None:
        for seed in range(20):
            one = drawn(60, 0.7, seed)
            other = np.where(drawn(60, 0.5, seed + 100), one, drawn(60, 0.3, seed + 200))
            (row,) = consistency.error_consistency(trials({"a": one, "b": other})).to_dict("records")
            assert row["kappa"] == pytest.approx(cohen_kappa_score(one, other), abs=1e-12)
            assert row["observed"] == pytest.approx((one == other).mean())
            assert (row["right"], row["other_right"]) == pytest.approx((one.mean(), other.mean()))

    def test_the_same_errors_are_1_independent_ones_about_0_and_opposite_ones_negative(self) -> None:
        one = drawn(6000, 0.6, 0)
        for other, low, high in ((one, 1.0, 1.0), (drawn(6000, 0.4, 1), -0.04, 0.04), (~one, -1.0, -0.9)):
            (row,) = consistency.error_consistency(trials({"a": one, "b": other}, exemplars=600)).to_dict("records")
            assert low - 1e-12 <= row["kappa"] <= high + 1e-12

    def test_observers_who_cannot_differ_have_no_kappa(self) -> None:
        always = np.ones(30, bool)
        (row,) = consistency.error_consistency(trials({"a": always, "b": always})).to_dict("records")
        assert row["observed"] == row["expected"] == 1.0
        assert np.isnan(row["kappa"])
        assert row["ci_low"] is None or np.isnan(row["ci_low"])
        assert consistency.mean_by_group(pd.DataFrame([row])).empty

    def test_the_order_of_trials_changes_nothing(self) -> None:
        asked = trials({"a": drawn(60, 0.7, 0), "b": drawn(60, 0.7, 1)})
        mixed = pd.concat([part.sample(frac=1, random_state=3) for _, part in asked.groupby("observer")])
        pd.testing.assert_frame_equal(consistency.error_consistency(mixed), consistency.error_consistency(asked))

    def test_interval_equals_scipys_over_exemplars(self) -> None:
        one = drawn(400, 0.6, 5)
        other = np.where(drawn(400, 0.4, 6), one, drawn(400, 0.5, 7))
        (row,) = consistency.error_consistency(trials({"a": one, "b": other}, exemplars=400)).to_dict("records")
        found = stats.bootstrap(
            (one, other), by_definition, paired=True, vectorized=False, random_state=np.random.default_rng(0),
            n_resamples=2000,
        ).confidence_interval  # fmt: skip
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((found.low, found.high), abs=0.015)


def by_definition(one: np.ndarray, other: np.ndarray) -> float:
    expected = one.mean() * other.mean() + (1 - one.mean()) * (1 - other.mean())
    return float(((one == other).mean() - expected) / (1 - expected))


class TestPairs:
    def test_every_two_observers_of_all_folders_are_a_pair_on_the_stimuli_they_share(self) -> None:
        people = trials({"a": drawn(60, 0.7, 0), "b": drawn(60, 0.7, 1)})
        nets = trials({"net": drawn(45, 0.5, 2)}, group="nets")
        pairs = consistency.error_consistency(pd.concat([people, nets]))
        names = pairs[["observer", "other_observer", "stimuli"]].to_numpy().tolist()
        assert names == [["a", "b", 60], ["a", "net", 45], ["b", "net", 45]]

    def test_conditions_stay_apart_and_strangers_are_no_pair(self) -> None:
        one = trials({"a": drawn(30, 0.7, 0)})
        assert consistency.error_consistency(
            pd.concat([one, trials({"b": drawn(30, 0.7, 1)}).assign(condition="x")])
        ).empty
        other = trials({"b": drawn(30, 0.7, 1)}).assign(exemplar="cat99")
        assert consistency.error_consistency(pd.concat([one, other])).empty

    def test_of_several_answers_to_a_stimulus_their_share_counts(self) -> None:
        one, other = drawn(30, 0.7, 0), drawn(30, 0.6, 1)
        twice = pd.concat([trials({"a": one, "b": other}), trials({"a": one, "b": other})])
        once = consistency.error_consistency(trials({"a": one, "b": other}))
        assert consistency.error_consistency(twice)["kappa"].item() == pytest.approx(once["kappa"].item())

    def test_means_are_within_and_between_folders(self) -> None:
        people = trials({name: drawn(60, 0.7, seed) for seed, name in enumerate("abc")})
        pairs = consistency.error_consistency(pd.concat([people, trials({"net": drawn(60, 0.5, 9)}, group="nets")]))
        means = consistency.mean_by_group(pairs)
        assert means["pairs"].tolist() == [3, 3]
        within = pairs[pairs["other_group"] == "people"]["kappa"]
        assert means["kappa"].iloc[0] == pytest.approx(within.mean())
        assert (means["lowest"].iloc[0], means["highest"].iloc[0]) == (within.min(), within.max())
