"""What a bundle adds to an app's download and to a device's disk, against what stores allow."""

from __future__ import annotations

from edgepack.stores.limits import Limit, limits
from edgepack.stores.sizes import Sizes, measured

__all__ = ["Limit", "Sizes", "limits", "measured"]
