"""What MAE sees when its training code is run instead of its encoder."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bidsapp.errors import UsageError
from bidsapp.vision.catalogue import find_model
from bidsapp.vision.networks.image_vit import image_vit
from bidsapp.vision.networks.masking import PatchMasking, go_to
from bidsapp.vision.networks.network import build


def numbered(n_frames: int, n_patches: int) -> Tensor:
    """Tokens whose only unit tells their place; the class token is place 0."""
    places = torch.arange(n_patches + 1, dtype=torch.float32)
    return places[None, :, None].expand(n_frames, -1, 1)


@given(n_patches=st.integers(4, 60), seed=st.integers(0, 9))
def test_a_quarter_of_the_patches_is_seen_each_once(n_patches: int, seed: int) -> None:
    masking = PatchMasking(fixed=False)
    go_to(masking, seed)
    seen = masking(numbered(3, n_patches))[..., 0]
    assert seen.shape == (3, 1 + n_patches // 4)
    assert (seen[:, 0] == 0).all()
    for frame in seen[:, 1:]:
        assert len(set(frame.tolist())) == n_patches // 4
        assert frame.min() >= 1


def test_every_frame_has_patches_of_its_own_unless_they_are_fixed() -> None:
    tokens = numbered(4, 64)
    author, fixed = PatchMasking(fixed=False)(tokens), PatchMasking(fixed=True)(tokens)
    assert not torch.equal(author[0], author[1])
    assert all(torch.equal(fixed[0], frame) for frame in fixed)


@pytest.mark.parametrize("fixed", [False, True])
def test_patches_do_not_depend_on_batches(fixed: bool) -> None:
    tokens = numbered(6, 64)
    whole = PatchMasking(fixed=fixed)(tokens)
    in_parts, parts = PatchMasking(fixed=fixed), []
    for start, stop in ((4, 6), (0, 1), (1, 4)):
        go_to(in_parts, start)
        parts.append(in_parts(tokens[start:stop]))
    assert torch.equal(whole, torch.cat([*parts[1:], parts[0]]))


@pytest.mark.parametrize("masking", ["Fixed", "authors", False])
def test_an_unknown_masking_is_refused(masking: object) -> None:
    entry = find_model("mae-base").model_copy(update={"options": (("masking", masking),)})
    with pytest.raises(UsageError, match=f"model mae-base: .*none, fixed, author, not {masking!r}"):
        build(entry)


def test_all_patches_in_a_fixed_order_give_the_same_as_no_mask() -> None:
    """Without masking, order does not matter: attention knows places by their positions alone."""
    torch.manual_seed(0)
    tiny = {"size": 32, "patch": 8, "width": 48, "depth": 2, "heads": 4}
    plain = image_vit(**tiny).eval()
    shuffled = image_vit(**tiny, masking="fixed").eval()
    shuffled.load_state_dict(plain.state_dict())
    shuffled.patch_drop.share = 1.0
    frames = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        expected, found = plain.forward_features(frames), shuffled.forward_features(frames)
    order = PatchMasking(fixed=True, share=1.0)(numbered(1, 16))[0, :, 0].long()
    torch.testing.assert_close(found, expected[:, order], rtol=0, atol=1e-5)
