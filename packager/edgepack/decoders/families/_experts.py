"""Parts that families of experts share: the forms of their checkpoints, and the settings of a router."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.decoders._rope import THETA
from edgepack.decoders.experts import ExpertNames, Experts, SharedExpert
from edgepack.decoders.families._common import Change, Config, activation, llama_like, window
from edgepack.decoders.settings import SUPPORTED
from edgepack.errors import UnsupportedModel

# of all families with experts: what a training needs of its router
IRRELEVANT = ("output_router_logits", "router_jitter_noise", "input_jitter_noise")


def each(module: str, router: str, gate: str, up: str, down: str) -> ExpertNames:
    """Return the form with tensors for each expert, as checkpoints are published."""
    path = f"layers.{{i}}.{module}"
    gate_up = tuple(f"{path}.experts.{{e}}.{part}.weight" for part in (gate, up))
    return ExpertNames(router=f"{path}.{router}", gate_up=gate_up, down=f"{path}.experts.{{e}}.{down}.weight")


def together(module: str, router: str) -> ExpertNames:
    """Return the form with tensors of all experts, as transformers 5 holds them."""
    path = f"layers.{{i}}.{module}"
    return ExpertNames(
        router=f"{path}.{router}", gate_up=(f"{path}.experts.gate_up_proj",), down=f"{path}.experts.down_proj"
    )


def shared(width: int) -> SharedExpert:
    """Return the expert of every token by Qwen's names."""
    path = "layers.{i}.mlp.shared_expert"
    gate_up = tuple(f"{path}.{part}_proj" for part in ("gate", "up"))
    return SharedExpert(width=width, gate_up=gate_up, down=f"{path}.down_proj", share=f"{path}_gate")


def check_silu(config: Config) -> None:
    """Raises UnsupportedModel for another activation: ONNX Runtime's operator of experts has none that is gated."""
    if activation(config, "hidden_act") != "silu":
        raise UnsupportedModel(
            f"experts with the activation {config.text('hidden_act')!r} are not supported, only silu", hint=SUPPORTED
        )


def as_wide_as_usual(config: Config, names: tuple[ExpertNames, ...]) -> Experts:
    """Return experts in every layer, each as wide as intermediate_size. Raises as ``check_silu`` does."""
    check_silu(config)
    return Experts(
        count=config.integer("num_local_experts"),
        chosen=config.integer("num_experts_per_tok"),
        width=config.integer("intermediate_size"),
        names=names,
    )


def everywhere_windowed(config: Config, *, theta: float = THETA, **changes: Change) -> Decoder:
    """Return LLaMA where every layer looks back at sliding_window tokens, if there is one, and ``changes``."""
    width = window(config)
    everywhere = (width,) * config.integer("num_hidden_layers") if width else ()
    return llama_like(config, theta=theta, windows=everywhere, **changes)
