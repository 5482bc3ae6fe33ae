"""The bytes that a bundle adds to an app's download and to a device's disk, against what stores allow."""

from __future__ import annotations

from edgepack.stores.sizes import Sizes, measured
from edgepack.stores.table import Limit, limits

__all__ = ["Limit", "Sizes", "limits", "measured"]
