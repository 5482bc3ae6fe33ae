"""Short gated convolutions over a state of all slots of the text, as the caches of attention have them.

A convolution looks back at a few tokens alone. What each token brings to it is kept for every slot, nevertheless: what
a call of a fixed length has too many lies in slots that later tokens overwrite, and a text can be taken back.
"""

from __future__ import annotations

import numpy as np
from coremltools.converters.mil.mil import Builder as mb  # noqa: N813  (as everybody calls it)

from edgepack.decoders import Decoder
from edgepack.formats.coreml._mil import Var
from edgepack.formats.coreml.builder.attention import Span, joined

WHOLE = 32  # sides of a state that the Neural Engine takes are multiples of it


def front(decoder: Decoder) -> int:
    """Return how many empty slots lie before the first token's, which it and the next ones look back at."""
    longest = max((decoder.at(layer).convolution for layer in decoder.convolving), default=0)
    return -(-longest // WHOLE) * WHOLE


class Entered:
    """The inputs of the convolutions, float16 [layers, 1, front + slots, hidden]."""

    def __init__(self, state: Var, decoder: Decoder) -> None:
        self._state, self._hidden, self._front = state, decoder.hidden, front(decoder)
        self._now = mb.read_state(input=state)

    def extend(self, layer: int, new: Var, span: Span, before: int) -> Var:
        """Write ``new`` [1, N, hidden] into the slots of ``span``, in the row ``layer``.

        Returns [1, before + N, hidden]: those of the ``before`` slots in front of them, and ``new``.
        """
        first, end = (mb.add(x=place, y=np.int32(self._front)) for place in (span.past, span.end))
        updated = mb.slice_update(
            x=self._now,
            update=mb.expand_dims(x=new, axes=[0]),
            begin=joined([layer, 0], first, [0]),
            end=joined([layer + 1, 1], end, [self._hidden]),
        )
        self._now = mb.coreml_update_state(state=self._state, value=updated)
        if not before:
            return new
        known = mb.slice_by_size(
            x=self._now,
            begin=joined([layer, 0], mb.sub(x=first, y=np.int32(before)), [0]),
            size=[1, 1, before, self._hidden],
        )
        return mb.concat(values=[mb.squeeze(x=known, axes=[0]), new], axis=1)
