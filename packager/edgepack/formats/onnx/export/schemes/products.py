"""int8 weights per output channel, of kernels per row too, and products in 8 bits (see products.py).

``activation_bits`` is 8 (one term) or 16 (two). With ``weight_bits`` of 4 linear layers have blocks of 4 bits (see
blocks.py), and convolutions keep 8. In a model without layer normalisation, as those that make latents into images,
convolutions are stored in 8 bits and computed in float: at an image's resolution windows in two terms take more memory
than the floats (twice the peak for Stable Diffusion's decoder) and more time. The weights lie in ``<out>_data``, from
where they are mapped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from edgepack.arrays import Array
from edgepack.formats.onnx._graph import Graph
from edgepack.formats.onnx.export import compression, convolutions
from edgepack.formats.onnx.export.kernels import kernels, store
from edgepack.formats.onnx.export.linears import Linear
from edgepack.formats.onnx.export.products import Products
from edgepack.formats.onnx.export.schemes import blocks
from edgepack.records import Coverage, Recipe

_EIGHT = 8  # bits


def quantize(model: Path, out: Path, recipe: Recipe, calibration: Sequence[Mapping[str, Array]]) -> Coverage:
    """Compress every linear layer, convolution and embedding table of ``model``."""
    products = Products(2 if recipe.activation_bits > _EIGHT else 1)

    def multiply(graph: Graph, linear: Linear, rows: Array | None) -> None:
        graph.rewrite(linear.node, products.linear(graph, linear))

    def convolve(graph: Graph) -> None:
        graph.resolve()
        if any(node.op_type.endswith("LayerNormalization") for node in graph.nodes):
            for convolution in convolutions.convolutions(graph):
                convolutions.rewrite(graph, convolution, products)
        for kernel in kernels(graph):  # grouped and dilated ones too
            if not convolutions.is_small(graph, kernel):
                store(graph, kernel)

    step = multiply if recipe.weight_bits >= _EIGHT else partial(blocks.step, recipe)
    data = out.with_name(f"{out.name}_data")
    return compression.run(model, out, recipe, calibration, step, convolve, data=data)
