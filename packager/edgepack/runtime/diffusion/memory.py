"""A budget of memory: which levers hold it, from what the submodels took when the bundle was measured.

A submodel takes its weights, and activations in proportion to an image's pixels and to the batch. They are known from
``measurements.json``, where each submodel was timed in a process of its own at the model's usual size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edgepack.errors import DoesNotFit, UsageError
from edgepack.records import NotMeasured, Timings
from edgepack.runtime import machine
from edgepack.runtime.diffusion import timing
from edgepack.runtime.diffusion.autoencoder import DECODER, ENCODER
from edgepack.runtime.processing import Processing
from edgepack.runtime.submodel import UNET, Submodel
from edgepack.units import size as said

_ALONE = 74_000_000  # bytes of a process that times a submodel, beside what that takes
_BESIDE = 10_000_000  # bytes of sessions and images, beside what submodels take
_TILES = (128, 96, 64)  # pixels of a side, which are tried in turn; larger bands take more, and as long
# Of the decoder's activations for a pixel at once: those of a band's, and of the maps that are kept between the parts
_OF_BAND, _KEPT = 1.4, 0.13
_HALO = 6  # rows that a band is higher than it gives, the highest parts' above and below
_OF_PARTS = 0.3  # of the decoder's weights in its largest part, as they are stored and as they are computed with


@dataclass(frozen=True, kw_only=True)
class Levers:
    """Options of ``generate`` that hold a budget, and the bytes that an image takes with them."""

    needs: int
    together: bool
    tile: int | None


@dataclass(frozen=True, kw_only=True)
class Need:
    """A submodel's memory, bytes: what it always takes, and its activations for each pixel of an image."""

    fixed: int
    pixel: float


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The ``bytes`` that the process may have, of which ``taken`` are not the submodels'."""

    bytes: int
    taken: int
    needs: Mapping[str, Need]
    in_bands: bool  # whether the decoder can be computed part by part

    def levers(self, size: tuple[int, int], count: int = 1, *, guided: bool, begun: bool = False) -> Levers:
        """Return those that cost the least time, for ``count`` images of a height and width, submodels one at a time.

        ``guided``: a step takes two predictions; ``begun``: it begins with an image. Raises DoesNotFit, which says the
        least that works.
        """
        unets = [(self._whole(UNET, size, count * rows), rows == 2) for rows in ((2, 1) if guided else (1,))]
        decoders = list(self._decoders(size))
        apart = {UNET, DECODER} | (set() if begun else {ENCODER})
        others = [self._whole(name, size, 1) for name in self.needs if name not in apart]
        least = max(min(unets)[0], min(needs for needs, _ in decoders), *others)
        if least > self.bytes:
            raise DoesNotFit(
                f"an image of {size[1]} x {size[0]} pixels takes {said(least)} at least, and the budget is "
                f"{said(self.bytes)}",
                hint=f"--memory {-(-least // 1_000_000)}MB is enough"
                + (", and so may be fewer at once" if count > 1 else ", and a smaller --size takes less"),
            )
        unet, together = next(one for one in unets if one[0] <= self.bytes)
        decoder, tile = next(one for one in decoders if one[0] <= self.bytes)
        return Levers(needs=max(unet, decoder, *others), together=together, tile=tile)

    def _whole(self, name: str, size: tuple[int, int], batch: int) -> int:
        need = self.needs[name]
        return int(self.taken + need.fixed + need.pixel * batch * size[0] * size[1])

    def _decoders(self, size: tuple[int, int]) -> Iterator[tuple[int, int | None]]:
        """Yield the bytes that the decoder takes at once and in bands of each tile."""
        yield self._whole(DECODER, size, 1), None
        need, (height, width) = self.needs[DECODER], size
        for tile in _TILES if self.in_bands else ():
            rows = max(tile**2 // width, _HALO // 2) + _HALO
            if rows < height:
                pixels = _OF_BAND * rows * width + _KEPT * height * width
                yield int(self.taken + _OF_PARTS * need.fixed + need.pixel * pixels), tile


def budget(bytes: int, processing: Processing, submodels: Mapping[str, Submodel], timings: Timings) -> Budget:
    """Return the budget of ``bytes`` of a bundle, before anything of it is opened.

    Raises UsageError where the memory of its submodels was not measured.
    """
    measured = () if isinstance(timings, NotMeasured) else timings
    asked = (t for t in measured if t.what == timing.shape(processing, submodels[t.submodel]))
    usual = {t.submodel: t.peak_memory for t in asked if not isinstance(t.peak_memory, NotMeasured)}
    unknown = [name for name in submodels if name not in usual]
    if unknown:
        raise UsageError(
            f"the memory that {unknown[0]} takes was not measured when the bundle was built: no budget can be held",
            hint="build it without --no-speed, where speed can be measured, or leave --memory out",
        )
    needs = {}
    for name, submodel in submodels.items():
        own, pixels = max(usual[name] - _ALONE, submodel.bytes), timing.pixels(processing, submodel)
        fixed = submodel.bytes if pixels else own
        needs[name] = Need(fixed=fixed, pixel=(own - fixed) / pixels if pixels else 0.0)
    return Budget(bytes=bytes, taken=machine.memory() + _BESIDE, needs=needs, in_bands=bool(submodels[DECODER].parts))
