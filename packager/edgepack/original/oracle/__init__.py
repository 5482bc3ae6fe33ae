"""The check of edgepack's reading of config.json against transformers' own implementation, in a process of its own.

    python -m edgepack.original.oracle MODEL FOLDER RESULT.json

MODEL is the folder as it was found, FOLDER what is converted (the same, or with a tokenizer arranged as transformers
runs it). transformers makes the model that config.json describes, shrunk where size changes no meaning, with random
weights; edgepack reads the same checkpoint by its own description. Shapes, angles and the logits of every token have
to agree, and so do the tokens that end a text, the rendering of the chat template and the greedy answer.
"""
