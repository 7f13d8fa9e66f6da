import numpy as np
import pytest
from small_study import LENGTHS, MIN_LAG_S, planted_in, undefine

from bidsapp.rsa.similarity import joined, similarity
from bidsapp.rsa.study import study_products


def test_modes_have_their_own_pairs(runs):
    study = study_products(runs, MIN_LAG_S, (0.0, 4.0, 10.0))
    for n, replicate, robust in zip(LENGTHS, study.replicate, study.robust, strict=True):
        assert replicate.n_pairs == n * (n - 1) // 2
        kept = n - 3  # less the film that the next run shows again
        n_near = sum(kept - d for d in range(1, kept) if not 3 <= d <= kept - 3)
        assert robust.n_pairs == kept * (kept - 1) // 2 - n_near
    assert [lag.min_lag_s for lag in study.lags] == [0.0, 4.0, 10.0]
    np.testing.assert_array_equal(study.lags[0].runs[2].xy, study.replicate[2].xy)
    assert study.lags[2].runs[0].n_pairs == sum(LENGTHS[0] - d for d in range(5, LENGTHS[0]))


def test_runs_are_taken_one_at_a_time(runs):
    alive = []

    def stream():
        for run in runs:
            alive.append(run.run)
            yield run

    study = study_products(stream(), MIN_LAG_S)
    assert alive == ["1", "2", "3", "4"]
    assert [products.run for products in study.robust] == alive
    assert study.lags == ()


def test_undefined_volume_is_dropped_in_its_run_alone(runs):
    undefine(runs[1].models[0], 4, LENGTHS[1])
    study = study_products(runs, MIN_LAG_S)
    assert [products.volumes.undefined for products in study.replicate] == [0, 1, 0, 0]
    assert [products.volumes.undefined for products in study.robust] == [0, 1, 0, 0]


def test_one_participants_undefined_volumes_cost_nobody_else(runs):
    whole = study_products(runs, MIN_LAG_S, (10.0,))
    undefine(runs[1].targets[:, 2], 7, LENGTHS[1])
    undefine(runs[3].targets[1, 0], 0, LENGTHS[3])  # one region is enough
    runs[2].targets[:, 1] = np.nan  # who lacks a run is no cohort of its own for that
    study = study_products(runs, MIN_LAG_S, (10.0,))
    assert len(whole.cohorts) == 1
    assert study.n_participants == 3
    members = [cohort.participants.tolist() for cohort in study.cohorts]
    assert sorted(members) == [[0], [1], [2]]
    for cohort in study.cohorts:
        own = study_products([run.of(cohort.participants) for run in runs], MIN_LAG_S, (10.0,))
        for mode in ("replicate", "robust"):
            for ours, alone in zip(getattr(cohort, mode), getattr(own, mode), strict=True):
                np.testing.assert_allclose(ours.xx, alone.xx, atol=1e-6)
                np.testing.assert_allclose(ours.xy, alone.xy, atol=1e-6)
                assert ours.n_pairs == alone.n_pairs
        np.testing.assert_allclose(cohort.lags[0].runs[1].xy, own.lags[0].runs[1].xy, atol=1e-6)
    assert [products.volumes.undefined for products in study.replicate] == [0, 1, 0, 1]
    undisturbed = next(cohort for cohort in study.cohorts if 1 in cohort.participants)
    for ours, before in zip(undisturbed.robust, whole.robust, strict=True):
        np.testing.assert_allclose(ours.xx, before.xx, atol=1e-6)


def test_scores_of_cohorts_are_put_together_in_the_participants_order(runs):
    undefine(runs[1].targets[:, 1], 7, LENGTHS[1])
    study = study_products(runs, MIN_LAG_S)
    models = {"first": slice(0, 2), "second": slice(2, 4)}
    parts = [
        (cohort.participants, similarity(cohort.robust, models, "robust", "ols"))
        for cohort in study.cohorts
    ]
    assert len(parts) == 2
    together = joined(parts)
    for participant in range(3):
        own = study_products([run.of(np.array([participant])) for run in runs], MIN_LAG_S)
        alone = similarity(own.robust, models, "robust", "ols")
        np.testing.assert_allclose(together.r[:, :, participant], alone.r[:, :, 0], atol=1e-7)
        np.testing.assert_allclose(together.r2[:, :, participant], alone.r2[:, :, 0], atol=1e-7)
        np.testing.assert_allclose(
            together.weights[1][:, participant], alone.weights[1][:, 0], atol=1e-7
        )


def test_lag_curve_at_zero_is_the_replicate_mode(runs):
    study = study_products(runs, MIN_LAG_S, (0.0, 10.0))
    models = {"all": slice(0, 4)}
    plain = similarity(study.replicate, models, "replicate", "ols").r
    np.testing.assert_array_equal(
        similarity(study.lags[0].runs, models, "replicate", "ols").r, plain
    )
    far = similarity(study.lags[1].runs, models, "replicate", "ols").r
    assert np.abs(far - plain).max() > 1e-3


@pytest.mark.parametrize("fit", ["ols", "nnls", "ridge"])
def test_autocorrelation_alone_fools_replicate_but_not_robust(noise, fit):
    study = study_products(noise, 20.0)
    models, penalties = {"smooth": slice(0, 3)}, [0.01, 1.0, 100.0]
    replicate = similarity(study.replicate, models, "replicate", fit, penalties).r
    robust = similarity(study.robust, models, "robust", fit, penalties).r
    assert replicate.mean() > 0.05
    assert abs(robust.mean()) < 0.02


def test_planted_model_is_found_in_both_modes(noise):
    study = study_products(planted_in(noise), 20.0)
    models = {"planted": slice(0, 1), "other": slice(1, 3)}
    for mode in ("replicate", "robust"):
        r = similarity(getattr(study, mode), models, mode, "ols").r.mean(axis=-1)[:, 0]
        difference = r[0] - r[1]
        assert r[0].mean() > 0.1
        assert difference.mean() > 3 * difference.std(ddof=1) / np.sqrt(4)
