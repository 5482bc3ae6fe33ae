"""Sounds on the way to a model: WAV files, resampling, and the two kinds of features."""
