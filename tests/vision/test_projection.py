import numpy as np

from bidsapp.rsa.rdm import correlation_distance, cosine_distance, euclidean_distance
from bidsapp.vision.projection import sparse_projection


def patterns() -> np.ndarray:
    """Thirty smooth patterns of 20,000 units, with a mean far from zero."""
    rng = np.random.default_rng(0)
    slow = rng.normal(size=(30, 20)) @ rng.normal(size=(20, 20_000))
    return (slow + rng.normal(size=slow.shape) + 7).astype(np.float32)


def test_distances_are_nearly_kept() -> None:
    given = patterns()
    centred = sparse_projection(20_000, 2000, centred=True)(given)
    assert centred.shape == (30, 2000)
    assert centred.dtype == np.float32
    exact, found = correlation_distance(given), cosine_distance(centred)
    assert np.abs(found - exact).max() < 5 / np.sqrt(2000)
    assert np.corrcoef(found, exact)[0, 1] > 0.98
    plain = sparse_projection(20_000, 2000, centred=False)(given)
    ratio = euclidean_distance(plain) / euclidean_distance(given)
    assert np.abs(ratio - 1).max() < 5 / np.sqrt(2 * 2000)


def test_it_is_linear_and_always_the_same() -> None:
    given = patterns()
    project = sparse_projection(20_000, 500, centred=True)
    again = sparse_projection(20_000, 500, centred=True)
    np.testing.assert_array_equal(project(given), again(given))
    parts = project(given * 0.25) + project(given * 0.75)
    np.testing.assert_allclose(parts, project(given), atol=2e-3)
