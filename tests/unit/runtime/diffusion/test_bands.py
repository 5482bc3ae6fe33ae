"""Decoding in bands is decoding at once, of diffusers' decoders; weights lie in two kinds of places."""

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from tests.diffusion_models import vae

from edgepack.formats.onnx._graph import Graph
from edgepack.formats.onnx.export import bands as cut
from edgepack.runtime import graphs
from edgepack.runtime.diffusion import bands
from edgepack.runtime.engines import open_session

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
SIDE = 14  # of the latents, and two more across


def exported(path, decoder):
    """The graph of a decoder of latents of any size."""
    axes = {0: "b", 2: "h", 3: "w"}
    torch.onnx.export(
        decoder, (torch.zeros(1, 4, 4, 6),), path, input_names=["latent_sample"], output_names=["sample"],
        dynamic_axes={"latent_sample": axes, "sample": axes}, opset_version=17, dynamo=False,
    )  # fmt: skip


class Decoder(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, latent_sample):
        return self.model.decode(latent_sample, return_dict=False)[0]


def small():
    sizes = {"encoder_block_out_channels": (8, 8, 8), "decoder_block_out_channels": (64, 64, 64)}
    return AutoencoderTiny(**sizes, num_encoder_blocks=(1, 1, 1), num_decoder_blocks=(1, 1, 1), latent_channels=4)


@pytest.mark.parametrize(
    ("kind", "beside", "held", "apart"), [(vae, False, 1 << 22, 1e-5), (small, True, 1 << 8, 4e-3)]
)
def test_bands_are_the_whole(kind, beside, held, apart, tmp_path, monkeypatch):
    torch.manual_seed(0)
    model = tmp_path / "model.onnx"
    exported(model, Decoder(kind()).eval())
    if beside:
        Graph(model).save(model, tmp_path / "model.onnx_data")
    cut.write(model)
    parts = graphs.parts(model, tmp_path.iterdir())
    assert any(b"location" in part.read_bytes() for part in parts) == (kind is small)  # has weights that are not small
    latents = np.random.RandomState(1).standard_normal((1, 4, SIDE, SIDE + 2)).astype(np.float32)
    whole = open_session(model, "onnx", 1)({"latent_sample": latents})["sample"]
    rows, put = [], bands._Map.put
    monkeypatch.setattr(bands._Map, "put", lambda *given: (rows.append(given[2].shape[2]), put(*given)))
    monkeypatch.setattr(bands, "_SMALL", held)  # values of a map that is kept in 32 bits
    run = bands.Bands(parts, lambda part: open_session(part, "onnx", 1))
    made = run({bands.LATENTS: latents, bands.HEIGHT: np.array(8)})[bands.SAMPLE]
    assert np.abs(made - whole).max() < apart * np.abs(whole).max()
    assert max(rows) < whole.shape[2]  # never all at once


def test_a_decoder_that_attends_at_the_end_is_not_cut(tmp_path):
    class Attending(torch.nn.Module):
        def forward(self, latent_sample):
            flat = torch.nn.functional.interpolate(latent_sample, scale_factor=2.0).flatten(2)
            return torch.softmax(flat @ flat.transpose(1, 2), -1)

    exported(tmp_path / "model.onnx", Attending())
    cut.write(tmp_path / "model.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
