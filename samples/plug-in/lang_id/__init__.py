"""The language of a text, by a linear model over the letters that stand beside each other."""
