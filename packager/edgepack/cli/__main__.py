"""``python -m edgepack.cli``."""

from edgepack.cli import main

main()
