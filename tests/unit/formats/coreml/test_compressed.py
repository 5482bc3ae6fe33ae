"""What Core ML's forms of a weight restore, and what they take."""

from __future__ import annotations

import numpy as np
import pytest

from edgepack.formats.coreml.export import encoders as forms
from edgepack.formats.coreml.export import search
from edgepack.formats.coreml.export.compressed import Encoding, Floats, Sparse
from edgepack.formats.coreml.export.forms import EVERYWHERE, NEWEST
from edgepack.formats.coreml.export.sensitivity import Study
from edgepack.formats.coreml.export.weight import CalibratedWeight
from edgepack.quantization import palettes
from edgepack.quantization.gptq import covariance

RANDOM = np.random.default_rng(5)


def weight(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def noise(form: Encoding, whole: np.ndarray) -> float:
    """The error's share of the weight's energy."""
    return float(((form.restored() - whole) ** 2).sum() / (whole**2).sum())


@pytest.mark.parametrize("shape", [(48, 96), (30, 7), (16, 8, 3, 3), (5, 1, 3, 3)])
def test_per_channel(shape: tuple[int, ...]) -> None:
    whole = weight(*shape)
    made = forms.per_channel(whole)
    assert made.restored().shape == shape
    assert made.bytes == whole.size + 2 * shape[0]
    steps = made.scale.astype(np.float32).reshape(-1, *(1,) * (len(shape) - 1))
    assert (np.abs(made.restored() - whole) <= steps * 0.51 + np.abs(whole) * 1e-3).all()


def test_a_channel_of_zeros_stays_zero() -> None:
    whole = weight(8, 64)
    whole[3] = 0
    for made in (forms.per_channel(whole), forms.blockwise(whole, 4, 32), forms.palettized(whole, 4, 1)):
        assert not made.restored()[3].any()
        assert np.isfinite(made.restored()).all()


# width, block asked for, block taken: a divisor that is not far below, else the whole row
@pytest.mark.parametrize(
    ("width", "asked", "taken"), [(128, 32, 32), (96, 64, 48), (100, 32, 25), (97, 32, 97), (8, 32, 8)]
)
def test_blocks_divide_the_width(width: int, asked: int, taken: int) -> None:
    whole = weight(16, width)
    made = forms.blockwise(whole, 4, asked)
    assert made.scale.shape == (16, width // taken)
    assert made.values.min() >= -8
    assert made.values.max() <= 7
    assert made.bytes == 16 * width // 2 + 2 * made.scale.size
    assert noise(made, whole) < 0.02


def test_errors_are_made_up_for() -> None:
    whole = weight(64, 200)
    causes = RANDOM.normal(size=(2000, 40)) @ RANDOM.normal(size=(40, 200))
    x = (causes + RANDOM.normal(size=causes.shape)).astype(np.float32)
    moments = covariance(x[:1000], 128)

    def loss(form: Encoding) -> float:
        return float((((form.restored() - whole) @ x[1000:].T) ** 2).mean())

    assert loss(forms.compensated(whole, 4, 25, moments)) == pytest.approx(
        loss(forms.blockwise(whole, 4, 25, np.diagonal(moments, axis1=1, axis2=2).ravel()[:200]))
    )  # 25 does not divide 128, so that there is no making up
    whole = whole[:, :192]
    x, moments = x[:, :192], covariance(x[:1000, :192], 128)
    assert loss(forms.compensated(whole, 4, 32, moments)) < 0.8 * loss(forms.blockwise(whole, 4, 32))


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 8])
@pytest.mark.parametrize("group", [0, 8])
def test_palettes(bits: int, group: int) -> None:
    whole = weight(24, 80)
    made = forms.palettized(whole, bits, group)
    tables = 24 // group if group else 1
    assert made.tables.shape == (tables, 2**bits)
    assert made.indices.max() < 2**bits
    assert made.bytes == 24 * 80 * bits // 8 + 2 * tables * 2**bits
    # Lloyd and Max's error of a normal distribution, 2.72 x 4^-bits for many bits, with room for the sample
    assert noise(made, whole) < 3.2 * 4.0**-bits + 1e-6


def test_a_palette_keeps_few_values_exactly() -> None:
    whole = np.array([[0.5, -0.25, 0.0, 0.5], [2.0, -0.25, 2.0, 0.0]], np.float32)
    assert (forms.palettized(whole, 2).restored() == whole).all()
    assert (forms.palettized(whole, 6).restored() == whole).all()


def test_what_is_important_is_nearer() -> None:
    whole, importance = weight(32, 64), np.ones(64, np.float32)
    importance[:8] = 100
    table, indices = palettes.palette(whole, 3, importance)
    plain, places = palettes.palette(whole, 3)
    near = np.abs(table[indices].astype(np.float32) - whole)[:, :8] ** 2
    far = np.abs(plain[places].astype(np.float32) - whole)[:, :8] ** 2
    assert near.mean() < far.mean()
    assert (np.diff(table.astype(np.float32)) >= 0).all()


@pytest.mark.parametrize(("asked", "taken"), [(32, 18), (20, 18), (9, 9), (8, 9), (0, 72), (72, 72)])
def test_blocks_of_a_kernel_are_whole_channels(asked: int, taken: int) -> None:
    assert forms.block((16, 8, 3, 3), asked) == taken
    assert forms.blockwise(weight(16, 8, 3, 3), 8, asked).scale.shape == (16, 72 // taken)


@pytest.mark.parametrize("group", [0, 8])
@pytest.mark.parametrize("bits", [2, 4, 6])
def test_tables_of_integers(bits: int, group: int) -> None:
    whole = weight(24, 80)
    made, plain = forms.palettized_integers(whole, bits, group), forms.palettized(whole, bits, group)
    tables = 24 // group if group else 1
    assert made.tables.dtype == np.int8
    assert made.bytes == 24 * 80 * bits // 8 + tables * (2**bits + 2)
    step = np.abs(whole).max() / 96  # the coarsest that is tried; rounding to it adds a twelfth of its square
    assert noise(made, whole) < noise(plain, whole) + step**2 / 12


def test_integers_are_not_the_rounded_floats() -> None:
    """Values that rounding would move far are held by a scale that suits them."""
    whole = np.repeat(np.array([[-1.0, -0.31, 0.007, 0.996]], np.float32), 8, axis=0) + weight(8, 4) * 1e-3
    table, scale, indices = palettes.integers(whole, 2)
    plain, places = palettes.palette(whole, 2)
    step = np.abs(plain.astype(np.float32)).max() / 127
    rounded = np.rint(plain.astype(np.float32) / step) * step
    error = np.square(table[indices] * np.float32(scale) - whole).sum()
    assert error < np.square(rounded[places] - whole).sum()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_pruned(share: float) -> None:
    whole = weight(32, 50)
    mask = forms.kept(whole, share, None)
    made = Sparse(mask, Floats(whole.astype(np.float16), whole.shape))
    restored = made.restored()
    assert (restored == 0).sum() == int(1600 * share)
    assert np.abs(restored[restored != 0]).min() >= np.abs(whole[restored == 0]).max(initial=0) * 0.999
    assert made.bytes == 200 + 2 * int(mask.sum())


def test_a_quiet_input_is_left_out_first() -> None:
    importance = np.ones(50, np.float32)
    importance[:25] = 1e-12
    assert not forms.kept(weight(32, 50), 0.5, importance)[:, :25].any()


def test_what_is_left_makes_up_for_what_is_dropped() -> None:
    whole = weight(64, 200)
    causes = RANDOM.normal(size=(2000, 20)) @ RANDOM.normal(size=(20, 200))
    x = (causes + RANDOM.normal(size=causes.shape)).astype(np.float32)
    moments, mask = covariance(x[:1000], 128), forms.kept(whole, 0.5, None)

    def loss(found: np.ndarray) -> float:
        return float((((found - whole) @ x[1000:].T) ** 2).mean())

    made = forms.pruned(whole, mask, moments)
    assert ((made != 0) <= mask).all()
    assert loss(made) < 0.6 * loss(forms.pruned(whole, mask, None))
    palette = forms.palettized(made, 3, importance=mask)
    before, after = (Sparse(mask, form) for form in (palette, forms.fed_back(palette, made, moments, mask)))
    assert loss(after.restored()) < loss(before.restored())


@pytest.mark.parametrize("group", [0, 16])
def test_indices_make_up_for_each_other(group: int) -> None:
    whole = weight(64, 200)
    causes = RANDOM.normal(size=(2000, 40)) @ RANDOM.normal(size=(40, 200))
    x = (causes + RANDOM.normal(size=causes.shape)).astype(np.float32)
    nearest = forms.palettized(whole, 3, group)
    made = forms.fed_back(nearest, whole, covariance(x[:1000], 128))
    losses = [float((((form.restored() - whole) @ x[1000:].T) ** 2).mean()) for form in (made, nearest)]
    assert losses[0] < 0.8 * losses[1]


def test_a_palette_of_what_is_left() -> None:
    """What is dropped takes no place in the table."""
    whole = np.array([[0.5, -0.25, 0.0, 0.5], [2.0, 0.01, 2.0, -3.0]], np.float32)
    mask = forms.kept(whole, 0.25, None)
    made = Sparse(mask, forms.palettized(whole, 2, importance=mask))
    assert (made.restored() == np.where(mask, whole, 0)).all()


def options(*entries: tuple[int, float]) -> list[search.Option[int]]:
    """(bytes, loss): forms that are called by their size."""
    return [search.Option(n, n, loss) for n, loss in entries]


def test_the_search_spends_where_it_counts() -> None:
    some = {"loud": options((100, 0.0), (50, 1.0)), "quiet": options((100, 0.0), (50, 0.01))}
    assert search.choose(some, 99) is None
    for budget, sizes in ((100, (50, 50)), (149, (50, 50)), (150, (100, 50)), (199, (100, 50)), (200, (100, 100))):
        found = search.choose(some, budget)
        assert found is not None
        assert (found["loud"], found["quiet"]) == sizes


@pytest.mark.parametrize("shape", [(45, 50), (64, 96), (24, 6, 3, 3), (40, 64, 1, 1), (7, 150)])
def test_bytes_of_a_form_are_the_encodings(shape: tuple[int, ...]) -> None:
    weight = CalibratedWeight("x", RANDOM.normal(size=shape).astype(np.float32), Study())
    for form in (*EVERYWHERE, *NEWEST):
        assert form.bytes(shape) == form.encode(weight).bytes


def test_a_large_weight_is_tried_by_rows_of_all_parts() -> None:
    weight = CalibratedWeight("x", np.arange(640, dtype=np.float32).reshape(64, 10), Study())
    assert weight.part(640, 320) is weight
    assert weight.part(639, 330).value[:, 0].tolist()[::31] == [0, 630]
    assert len(weight.part(639, 1).value) == 16
