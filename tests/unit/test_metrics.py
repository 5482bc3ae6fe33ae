"""Metrics, against scipy and scikit-learn where those have them, and by hand where they do not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from edgepack.errors import DataError
from edgepack.metrics import agreement, bootstrap, tasks

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("values", [RNG.normal(size=50), RNG.integers(0, 5, 50), np.ones(50)])
def test_ranks_share_ties(values: np.ndarray) -> None:
    np.testing.assert_array_equal(tasks.ranks(values), stats.rankdata(values))


def test_correlations() -> None:
    a = RNG.integers(0, 9, 80).astype(float)
    b = a + RNG.normal(size=80) * 3
    assert tasks.pearson(a, b) == pytest.approx(stats.pearsonr(a, b)[0])
    assert tasks.spearman(a, b) == pytest.approx(stats.spearmanr(a, b)[0])
    assert tasks.pearson(a * 1e300, b * 1e-300) == pytest.approx(stats.pearsonr(a, b)[0])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "values", [np.ones(5), np.full(5, 0.1), np.array([0, 1, 2, 3, np.nan]), np.array([0, 1, 2, 3, np.inf])]
)
def test_no_correlation_is_no_number(values: np.ndarray) -> None:
    for metric in (tasks.pearson, tasks.spearman):
        assert np.isnan(metric(values, np.arange(5)))
        assert np.isnan(metric(np.arange(5), values)) or metric is tasks.spearman
        assert np.isnan(metric(values[:1], [1.0]))
    assert bootstrap.difference(tasks.pearson, values, values, np.arange(5.0)) is None
    assert np.isnan(tasks.retrieval([values], ["a"]))
    assert tasks.perplexity([1e4], [None]) == np.inf


def test_classification() -> None:
    truth = [str(x) for x in RNG.integers(0, 4, 60)]
    made = [t if RNG.random() < 0.7 else "3" for t in truth]
    assert tasks.macro_f1(made, truth) == pytest.approx(f1_score(truth, made, average="macro"))
    assert tasks.accuracy(made, truth) == np.mean(np.array(made) == np.array(truth))
    assert tasks.top5([["a", "b"], ["c"]], ["b", "d"]) == 0.5
    assert tasks.first([["a", "b"], []], ["a", "d"]) == 0.5


def test_spans() -> None:
    truth = [[("PER", 0, 3), ("LOC", 5, 9)], []]
    assert tasks.span_f1(truth, truth) == 1
    assert tasks.span_f1([[("PER", 0, 3)], [("LOC", 1, 2)]], truth) == pytest.approx(2 * 1 / (2 + 2))
    assert tasks.span_f1([[], []], [[], []]) == 1


def test_answers() -> None:
    assert tasks.exact_match(["The Eiffel Tower!"], [["eiffel tower", "tower"]]) == 1
    assert tasks.token_f1(["red car"], [["a blue car"]]) == pytest.approx(0.5)
    assert tasks.token_f1([""], [[""]]) == 1
    assert tasks.exact_match(["x"], [["y"]]) == 0


def test_retrieval() -> None:
    vectors = [np.array(v, float) for v in ([1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9])]
    assert tasks.retrieval(vectors, ["a", "a", "b", "b"]) == 1
    assert tasks.retrieval(vectors, ["a", "b", "a", "b"]) == 0


def test_numbers_of_a_data_set() -> None:
    assert tasks.number({"score": "1.5"}, "score") == 1.5
    with pytest.raises(DataError, match="'high' in column 'score'"):
        tasks.number({"score": "high"}, "score")


def test_agreement() -> None:
    a = RNG.normal(size=32)
    assert agreement.cosine(a, 2 * a) == pytest.approx(1)
    assert agreement.cosine(np.zeros(3), np.zeros(3)) == 1
    assert agreement.cosine(np.zeros(3), np.ones(3)) == 0
    noise = 0.01 * RNG.normal(size=32)
    assert agreement.sqnr(a, a + noise) == pytest.approx(10 * np.log10((a @ a) / (noise @ noise)))
    assert agreement.sqnr(a, a) > 1000
    assert agreement.max_error(a, a + noise) == pytest.approx(np.abs(noise).max())
    assert agreement.top1(np.array([1, 3, 2]), np.array([0, 1, 0])) == 1
    assert agreement.top1(np.array([1, 3, 2]), np.array([2, 1, 0])) == 0
    found = agreement.per_sample(["cosine", "top1"], [a, a], [a, -a])
    np.testing.assert_allclose(found["cosine"], [1, -1])


def test_the_bootstrap_tells_noise_from_loss() -> None:
    truth = RNG.normal(size=400)
    original = truth + 0.5 * RNG.normal(size=400)
    alike = original + 1e-3 * RNG.normal(size=400)
    worse = original + 0.8 * RNG.normal(size=400)
    low, high = bootstrap.difference(tasks.pearson, original, alike, truth, resamples=300)
    assert low < 0 < high
    assert high - low < 0.001
    low, high = bootstrap.difference(tasks.pearson, original, worse, truth, resamples=300)
    assert high < 0
    assert bootstrap.difference(tasks.pearson, original, worse, truth, resamples=300) == (low, high)
