"""edgepack size: what a bundle adds to an app, against the limits of stores."""

from __future__ import annotations

from edgepack import stores
from edgepack.cli import show
from edgepack.cli.options import Bundle, Json, Trust
from edgepack.reports.table import Table
from edgepack.runtime.opening import opened
from edgepack.stores import Limit, Sizes
from edgepack.units import size as written


def size(bundle: Bundle, trust: Trust = False, json: Json = False) -> None:
    """Show what a bundle adds to an app, against stores' limits.

    Files are compressed by deflate, as in ZIP archives; stores may do a little better. Code and a runtime come on top.
    """
    listed = opened(bundle, verify=False, trust=trust)
    sizes, target = stores.measured(listed), str(listed.table["target"]["name"])
    limits = stores.limits(target)
    if json:
        show.as_json(
            {
                "bundle": listed.name,
                "target": target,
                "disk": sizes.total,
                "download": sizes.download,
                "files": {name: {"disk": sizes.disk[name], "download": sizes.compressed[name]} for name in sizes.disk},
                "limits": [{"limit": limit, "fits": _amount(limit, sizes) <= limit.most} for limit in limits],
            }
        )
        return
    show.line(
        f"{listed.name} adds {written(sizes.download)} to the download, {written(sizes.total)} on the disk", "bold"
    )
    show.table("files", _files(sizes))
    if limits:
        show.table("limits", _limits(limits, sizes))
    else:
        show.line(f"apps for {target} go to no store whose limits are known here")


def _files(sizes: Sizes) -> Table:
    """Tabulate the files, the largest first."""
    names = sorted(sizes.disk, key=lambda name: -sizes.disk[name])
    rows = [[name, written(sizes.disk[name]), written(sizes.compressed[name])] for name in names]
    return Table(["file", "disk", "download"], rows, figures=["disk", "download"])


def _limits(limits: list[Limit], sizes: Sizes) -> Table:
    rows, passed = [], []
    for limit in limits:
        amount = _amount(limit, sizes)
        fits = amount <= limit.most
        told = f"{amount / limit.most:.1%} of it" if fits else limit.beyond
        rows.append([f"{limit.store}: {limit.what}", f"{written(limit.most)} {limit.of}", told, f"{limit.read}"])
        passed.append(fits)
    sources = sorted({limit.source for limit in limits})
    return Table(["limit", "most", "this bundle", "read"], rows, passed=passed, notes=sources)


def _amount(limit: Limit, sizes: Sizes) -> int:
    return sizes.download if limit.of == "download" else sizes.total
