"""The verbs of a build, one per file; none imports another. pipeline.py alone knows their order."""
