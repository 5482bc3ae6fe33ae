"""Apps that bundles are embedded in, and the service that answers over HTTP."""

from __future__ import annotations

from edgepack.errors._root import EdgepackError


class AppError(EdgepackError):
    """An app's project that a bundle cannot be embedded in."""

    exit_code = 71


class AppProjectMissing(AppError):
    """No project of the kind that the target's apps are: Gradle's, Xcode's, npm's."""

    exit_code = 72


class AppFolderTaken(AppError):
    """A folder with something else in it: another bundle, or what edgepack did not generate."""

    exit_code = 73


class EmbeddingDiffers(AppError):
    """An embedded copy that is not the bundle any more, or generated files that were edited."""

    exit_code = 74


class AddressUnusable(EdgepackError):
    """An address that the service cannot listen at: in use, or not this machine's."""

    exit_code = 75
