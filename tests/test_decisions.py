"""Counts from files of decisions, held against counting by hand and against scipy's interval."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from ambench import decisions, psychophysics
from ambench.core import InputError

HEADER = "subj,session,trial,rt,object_response,category,condition,imagename"
Trial = tuple[str, str]  # stimulus, answer


def write(file: Path, trials: list[Trial], observer: str = "ann", condition: str = "0", session: int = 1) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        f"{observer},{session},{i},0.7,{answer},{stimulus.rstrip('0123456789').split('-')[0].rstrip('0123456789')},"
        f"{condition},{i:04d}_x_s01_0_{stimulus}.png"
        for i, (stimulus, answer) in enumerate(trials)
    ]
    file.write_text("\n".join([HEADER, *rows]))
    return file


TRIALS = [
    ("cat1-dog1", "cat"),  # shape
    ("cat1-car2", "car"),  # texture
    ("cat2-bear1", "cat"),  # shape
    ("dog1-cat3", "dog"),  # shape
    ("dog2-cat3", "bird"),  # neither
    ("dog2-bear3", "na"),  # neither, no answer
    ("bear1-bear2", "bear"),  # no conflict, right
    ("bear3-bear4", "cat"),  # no conflict, wrong
    ("truck7", "truck"),  # plain, right
]


class TestCounts:
    def test_counts_and_shares_equal_those_made_by_hand(self, tmp_path: Path) -> None:
        table = decisions.shape_bias_table([write(tmp_path / "a.csv", TRIALS)])
        (row,) = table.to_dict("records")
        assert [row[k] for k in ("trials", "conflicts", "shape", "texture", "other", "no_answer")] == [9, 6, 3, 1, 2, 1]
        assert (row["shape_bias"], row["coverage"], row["hit_rate"], row["accuracy"]) == (3 / 4, 4 / 6, 3 / 6, 2 / 3)
        assert row["category_mean"] == (2 / 3 + 1 / 1) / 2  # cat: 2 of 3, dog: 1 of 1, bear: none

    def test_pooling_adds_counts_and_averages_observers_beside(self, tmp_path: Path) -> None:
        write(tmp_path / "people" / "a.csv", [("cat1-dog1", "cat")] * 1 + [("cat2-dog1", "dog"), ("cat3-dog1", "dog")])
        write(tmp_path / "people" / "b.csv", [("cat1-dog1", "cat")], observer="bob")
        table = decisions.shape_bias_table([tmp_path / "people"]).set_index("observer")
        assert table.loc["pooled", ["shape", "texture", "observers"]].tolist() == [2, 2, 2]
        assert table.loc["pooled", "shape_bias"] == 0.5
        assert table.loc["pooled", "observer_mean"] == (1 / 3 + 1) / 2

    def test_sessions_of_one_observer_are_one_row(self, tmp_path: Path) -> None:
        files = [write(tmp_path / f"{s}.csv", TRIALS, session=s) for s in (1, 2)]
        (row,) = decisions.shape_bias_table(files).to_dict("records")
        assert row["trials"] == 2 * len(TRIALS)

    def test_groups_are_folders_and_conditions_stay_apart(self, tmp_path: Path) -> None:
        files = [
            write(tmp_path / "people" / "a.csv", TRIALS[:2]),
            write(tmp_path / "people" / "b.csv", TRIALS[:1], condition="outline"),
            write(tmp_path / "nets" / "c.csv", TRIALS[1:2]),
        ]
        rows = decisions.shape_bias_table(files).to_dict("records")
        found = [(row["group"], row["condition"], row["observer"], row["shape_bias"]) for row in rows]
        assert found == [("people", "0", "ann", 0.5), ("people", "outline", "ann", 1.0), ("nets", "0", "ann", 0.0)]

    def test_folders_of_one_name_stay_apart(self, tmp_path: Path) -> None:
        files = [write(tmp_path / which / "humans" / "a.csv", TRIALS[:1]) for which in ("old", "new")]
        assert decisions.shape_bias_table(files)["group"].nunique() == 2

    def test_answers_that_name_neither_leave_no_bias(self, tmp_path: Path) -> None:
        (row,) = decisions.shape_bias_table([write(tmp_path / "a.csv", TRIALS[4:6])]).to_dict("records")
        assert row["shape_bias"] is None or np.isnan(row["shape_bias"])
        assert row["coverage"] == 0.0

    def test_order_of_files_and_rows_does_not_matter(self, tmp_path: Path) -> None:
        trials = [(f"cat{i}-dog1", "cat" if i % 3 else "dog") for i in range(1, 10)]
        one = decisions.shape_bias_table([write(tmp_path / "x" / "a.csv", trials)])
        lines = (tmp_path / "x" / "a.csv").read_text().splitlines()
        (tmp_path / "x" / "a.csv").write_text("\n".join([lines[0], *lines[:0:-1]]))
        assert one.equals(decisions.shape_bias_table([tmp_path / "x" / "a.csv"]))


class TestCategories:
    def test_each_category_has_its_own_counts_and_bias(self, tmp_path: Path) -> None:
        write(tmp_path / "a.csv", TRIALS)
        write(tmp_path / "b.csv", [("cat1-dog1", "dog"), ("dog1-cat1", "dog")], observer="bob")
        trials = psychophysics.read_trials([tmp_path])
        table = decisions.bias_by_category(trials).set_index(["observer", "category"])
        cat, dog, bear = (table.loc[("ann", name)] for name in ("cat", "dog", "bear"))
        assert cat[["conflicts", "shape", "texture", "other"]].tolist() == [3, 2, 1, 0]
        assert (cat["shape_bias"], cat["coverage"], cat["hit_rate"]) == (2 / 3, 1.0, 2 / 3)
        assert dog[["conflicts", "shape", "texture", "other", "no_answer"]].tolist() == [3, 1, 0, 2, 1]
        assert np.isnan(bear["shape_bias"])
        assert bear["accuracy"] == 0.5
        assert table.loc[("pooled", "cat"), "shape_bias"] == 2 / 4

    def test_categories_add_up_to_the_observers_row_and_its_estimators(self, tmp_path: Path) -> None:
        trials = psychophysics.read_trials([write(tmp_path / "a.csv", TRIALS)])
        (whole,), parts = decisions.bias_of(trials).to_dict("records"), decisions.bias_by_category(trials)
        for count in ("trials", "conflicts", "shape", "texture", "other", "no_answer"):
            assert parts[count].sum() == whole[count]
        assert parts["shape_bias"].mean() == pytest.approx(whole["category_mean"])

    def test_the_two_estimators_differ_where_categories_are_answered_unequally(self, tmp_path: Path) -> None:
        trials = [(f"cat{i}-dog1", "cat") for i in range(9)] + [("dog1-cat1", "cat")]
        (row,) = decisions.shape_bias_table([write(tmp_path / "a.csv", trials)]).to_dict("records")
        assert (row["shape_bias"], row["category_mean"]) == (0.9, 0.5)

    def test_interval_of_the_category_mean_equals_scipys_over_exemplars(self, tmp_path: Path) -> None:
        random = np.random.default_rng(1)
        kinds, names = ("cat", "dog", "car"), ("bear", "bird", "boat", "oven", "clock", "chair", "truck", "knife")
        answers = {
            (kind, i): random.random(8) < p for kind, p in zip(kinds, (0.2, 0.5, 0.8), strict=True) for i in range(12)
        }
        trials = [
            (f"{kind}{i}-{name}1", kind if by_shape else name)
            for (kind, i), said in answers.items()
            for name, by_shape in zip(names, said, strict=True)
        ]
        (row,) = decisions.shape_bias_table([write(tmp_path / "a.csv", trials)]).to_dict("records")
        counts = np.array([said.sum() for said in answers.values()])
        kind = np.repeat(np.arange(3), 12)

        def mean_over_kinds(rows: np.ndarray) -> float:
            return float(
                np.mean([counts[rows[kind[rows] == k]].mean() / 8 for k in range(3) if (kind[rows] == k).any()])
            )

        assert row["category_mean"] == pytest.approx(mean_over_kinds(np.arange(36)))
        found = stats.bootstrap(
            (np.arange(36),), mean_over_kinds, vectorized=False, n_resamples=4000, random_state=np.random.default_rng(0)
        ).confidence_interval
        assert (row["category_low"], row["category_high"]) == pytest.approx((found.low, found.high), abs=0.01)


class TestInterval:
    @pytest.fixture
    def shares(self) -> list[tuple[int, int]]:
        """Shape and texture answers of 24 exemplars, some of them far more texture-prone than others."""
        random = np.random.default_rng(3)
        return [(int(n - k), int(k)) for n, k in ((8, random.binomial(8, p)) for p in random.beta(2, 4, 24))]

    def test_interval_of_one_observer_equals_scipys_over_exemplars(
        self, tmp_path: Path, shares: list[tuple[int, int]]
    ) -> None:
        trials = [
            (f"cat{i}-dog{j + 1}", "cat" if j < s else "dog") for i, (s, t) in enumerate(shares) for j in range(s + t)
        ]
        (row,) = decisions.shape_bias_table([write(tmp_path / "a.csv", trials)]).to_dict("records")
        expected = self.by_scipy(shares)
        assert (row["ci_low"], row["ci_high"]) == pytest.approx(expected, abs=0.01)

    def test_pooled_interval_equals_scipys_over_observers(self, tmp_path: Path, shares: list[tuple[int, int]]) -> None:
        for i, (s, t) in enumerate(shares):
            trials = [(f"cat{j + 1}-dog1", "cat" if j < s else "dog") for j in range(s + t)]
            write(tmp_path / f"{i}.csv", trials, observer=f"observer-{i}")
        row = decisions.shape_bias_table([tmp_path]).set_index("observer").loc["pooled"]
        assert (row["ci_low"], row["ci_high"]) == pytest.approx(self.by_scipy(shares), abs=0.01)

    @staticmethod
    def by_scipy(shares: list[tuple[int, int]]) -> tuple[float, float]:
        shape, texture = np.array(shares, float).T
        found = stats.bootstrap(
            (shape, texture),
            lambda s, t, axis: s.sum(axis) / (s.sum(axis) + t.sum(axis)),
            paired=True,
            vectorized=True,
            random_state=np.random.default_rng(0),
        ).confidence_interval
        return found.low, found.high

    @pytest.mark.parametrize("clusters", [1, 4])
    def test_few_clusters_give_no_interval(self, tmp_path: Path, clusters: int) -> None:
        trials = [(f"cat{i}-dog{j}", "cat" if j else "dog") for i in range(clusters) for j in (1, 0, 2)]
        table = decisions.shape_bias_table([write(tmp_path / "a.csv", trials)])
        assert table[["ci_low", "ci_high"]].isna().all(axis=None)

    def test_answers_that_never_vary_give_no_interval(self, tmp_path: Path) -> None:
        table = decisions.shape_bias_table([write(tmp_path / "a.csv", [(f"cat{i}-dog1", "cat") for i in range(9)])])
        assert table["shape_bias"].tolist() == [1.0]
        assert table[["ci_low", "ci_high"]].isna().all(axis=None)


class TestErrors:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return write(tmp_path / "a.csv", TRIALS)

    @pytest.mark.parametrize(
        ("old", "new", "sentence"),
        [
            ("object_response", "object_respons", "no column 'object_response'; did you mean 'object_respons'"),
            ("cat1-dog1.png", "cat1_dog.tiff", "the stimulus name .* is not like 'cat3-dog2.png'"),
            ("0.7,car,", "0.7,carr,", "there is no object_response 'carr'; did you mean 'car'"),
            ("cat1-dog1.png", "cat1-dgo1.png", "there is no texture 'dgo'; did you mean 'dog'"),
            ("0.7,cat,cat,", "0.7,cat,kat,", "there is no category 'kat'; did you mean 'cat'"),
            ("0.7,cat,cat,", "0.7,cat,dog,", "trial 1: category is 'dog', but the stimulus' shape is 'cat'"),
        ],
    )
    def test_a_wrong_file_is_told_what_is_wrong(self, file: Path, old: str, new: str, sentence: str) -> None:
        file.write_text(file.read_text().replace(old, new, 1))
        with pytest.raises(InputError, match=sentence):
            decisions.shape_bias_table([file])

    @pytest.mark.parametrize("content", ["", HEADER, "a,b\n1,2,3\n", "\x00\x01\udcff"])
    def test_no_table_is_refused(self, tmp_path: Path, content: str) -> None:
        file = tmp_path / "a.csv"
        file.write_bytes(content.encode("utf-8", "surrogateescape"))
        with pytest.raises(InputError):
            decisions.shape_bias_table([file])

    def test_nothing_a_missing_file_and_an_empty_folder_are_refused(self, tmp_path: Path) -> None:
        for paths, sentence in (
            ([], "name at least one CSV file"),
            ([tmp_path / "missing.csv"], "there is no file"),
            ([tmp_path], "holds no CSV file"),
        ):
            with pytest.raises(InputError, match=sentence):
                decisions.shape_bias_table(paths)

    def test_a_file_given_twice_is_refused(self, file: Path) -> None:
        with pytest.raises(InputError, match="is there twice"):
            decisions.shape_bias_table([file, file])
