"""The check of edgepack's reading of config.json against transformers' own implementation, in a process of its own.

    python -m edgepack.original.oracle FOLDER RESULT.json

transformers makes the model that FOLDER/config.json describes, shrunk where size changes no meaning, with random
weights; edgepack reads the same checkpoint by its own description. Shapes, angles and the logits of every token have
to agree, and so do the tokens that end a text and the rendering of the chat template.
"""
