"""``config.json``: a Llama, an LFM2, or the compiled spec that ``modeling_star.py`` reads."""

from __future__ import annotations

from typing import Any

from star_core.architecture import Architecture, Layer
from star_core.exported.manifest import Manifest
from star_core.exported.native import Native
from star_core.structures.low_rank import WINDOW
from star_core.structures.registered import structure_of

MODELING = "modeling_star"
EPSILON, ROTATION = 1e-5, 1e4
"""Of norms and of rotary positions, as ``star_core/livs`` has them."""


def own_config(manifest: Manifest, architecture: Architecture) -> dict[str, Any]:
    """The configuration of the modelling file that is written beside it."""
    return _common(manifest) | {
        "model_type": "star",
        "architectures": ["StarForCausalLM"],
        "auto_map": {
            "AutoConfig": f"{MODELING}.StarConfig",
            "AutoModelForCausalLM": f"{MODELING}.StarForCausalLM",
        },
        "genome": manifest.genome,
        "window": WINDOW,
        "norm_eps": EPSILON,
        "rope_theta": ROTATION,
        "tie_word_embeddings": False,
        "layers": [_layer(architecture, layer) for layer in architecture.layers],
    }


def _layer(architecture: Architecture, layer: Layer) -> dict[str, Any]:
    operator = layer.liv_class.operator
    structure = structure_of(operator.token_mixing)
    groups = {group.role: group for group in layer.groups}
    states = structure.states(
        operator,
        {role: group.genome for role, group in groups.items()},
        {role: group.shape for role, group in groups.items()},
        architecture.dims,
    )
    own = {state.name for state in layer.states}
    return {
        "name": layer.liv_class.name,
        "structure": structure.name,
        "sparsity": int(operator.sparsity),
        "nonlinearity": int(operator.nonlinearity),
        "branches": layer.branches,
        "groups": {
            role: {
                "kind": group.kind.value,
                "token_mixing": group.genome.token_mixing,
                "sparsity": int(group.genome.sparsity),
                "nonlinearity": int(group.genome.nonlinearity),
                "channel_mixing": int(group.genome.channel_mixing),
                "repeat": group.genome.repeat,
                "heads": group.shape.heads,
                "channels": group.shape.channels,
                "computed_by": group.computed_by,
                "weights_of": group.weights_of,
                "weights": {weight.name: weight.shape for weight in group.weights},
            }
            for role, group in groups.items()
        },
        "histories": [state.name for state in states if state.per_token],
        # A state is read where it is held: with the layer whose features are reused.
        "states": {
            state.name: layer.index if state.name in own else groups[min(state.roles)].computed_by
            for state in states
            if not state.per_token
        },
        "weights": {weight.name: weight.shape for weight in layer.weights},
    }


def native_config(manifest: Manifest, found: Native) -> dict[str, Any]:
    """The configuration of a Llama or an LFM2."""
    common = _common(manifest) | {
        "intermediate_size": found.hidden,
        "num_hidden_layers": len(found.blocks),
        "num_attention_heads": found.heads,
        "num_key_value_heads": found.key_heads,
        "max_position_embeddings": manifest.origin.sequence_length,
        "rope_theta": ROTATION,
        "rope_parameters": {"rope_type": "default", "rope_theta": ROTATION},
        "tie_word_embeddings": True,
    }
    if found.family == "llama":
        return common | {
            "model_type": "llama",
            "architectures": ["LlamaForCausalLM"],
            "head_dim": found.head_dim,
            "hidden_act": "silu",
            "rms_norm_eps": EPSILON,
            "attention_bias": False,
            "mlp_bias": False,
        }
    return common | {
        "model_type": "lfm2",
        "architectures": ["Lfm2ForCausalLM"],
        "norm_eps": EPSILON,
        "conv_L_cache": found.taps,
        "conv_bias": False,
        "block_auto_adjust_ff_dim": False,
        "layer_types": ["full_attention" if attends else "conv" for attends in found.attends],
    }


def _common(manifest: Manifest) -> dict[str, Any]:
    return {
        "vocab_size": manifest.vocab_size,
        "hidden_size": manifest.width,
        "dtype": "float32",
        "bos_token_id": None,
        "eos_token_id": manifest.tokens.separator,
        "pad_token_id": None,  # as a token of padding, byte 0 would be masked where it ends a document
    }


def generation_config(manifest: Manifest) -> dict[str, Any]:
    """``generation_config.json``: samples, because the likeliest text of small models goes in circles."""
    end = manifest.tokens.separator
    return {"do_sample": True, "temperature": 0.8, "top_p": 0.95, "top_k": 0} | (
        {} if end is None else {"eos_token_id": end, "pad_token_id": end}
    )
