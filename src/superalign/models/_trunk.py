"""The trunk of a transformer: no head, and layers above the one asked for are neither loaded nor computed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from superalign.errors import ModelError
from superalign.models._adapter import merge
from superalign.models._torch import quiet, torch_dtype

if TYPE_CHECKING:
    from torch import nn


def read_config(folder: Path, trust_remote_code: bool = False) -> Any:
    """Return the transformers configuration of a folder.

    Raises:
        ModelError: unknown or broken configuration, code in the folder that is not trusted, or an encoder-decoder.
    """
    from transformers import AutoConfig

    try:
        with quiet():
            config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _refused(folder, error) from error
    if config.is_encoder_decoder:
        raise ModelError(
            f"'{folder}' is an encoder-decoder ({config.model_type})",
            why="its layers do not form one stack, so a layer's features are not defined",
            fix="take a causal language model or an encoder",
        )
    if not getattr(config, "num_hidden_layers", 0) or config.get_text_config() is not config:
        raise ModelError(
            f"'{folder}' is not a text transformer ({config.model_type})",
            why="its configuration has no single stack of text layers",
            fix="take a causal language model or an encoder",
        )
    return config


def is_causal(config: Any) -> bool:
    """Tell whether each token sees only those before it (language models), or all (encoders)."""
    from transformers.models.auto import modeling_auto as auto

    if getattr(config, "use_bidirectional_attention", None):
        return False
    kind = config.model_type
    if kind in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES:  # encoders are listed there; some can be run as decoders
        return bool(getattr(config, "is_decoder", False))
    return kind in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES


class Trunk:
    """The first `depth` layers of a transformer, with `module(...).last_hidden_state` the hidden states of the last.

    Hidden states are those of transformers' `output_hidden_states` on the whole model: the residual stream after
    each block, and after the closing norm only at the whole model's own depth.

    Args:
        module: the transformer's body (no head), holding `depth` blocks.
        blocks: its blocks, in order.
        causal: whether each token sees only those before it.
        device: where it computes.
    """

    def __init__(self, module: nn.Module, blocks: nn.ModuleList, causal: bool, device: str) -> None:
        self.module, self.blocks, self.causal, self.device = module, blocks, causal, device

    @property
    def depth(self) -> int:
        """The highest layer this trunk computes."""
        return len(self.blocks)


def load_trunk(
    folder: Path,
    depth: int,
    dtype: Literal["bf16", "fp32"],
    device: str,
    trust_remote_code: bool = False,
    adapter: Path | None = None,
) -> Trunk:
    """Load the first `depth` layers of the model in `folder`, with an adapter merged into them if one is given.

    Raises:
        ModelError: the weights do not fit the configuration, the adapter does not fit the weights, or the architecture
            cannot be truncated.
    """
    config = read_config(folder, trust_remote_code)
    causal, whole = is_causal(config), config.num_hidden_layers
    _shorten(config, max(depth, 1))
    module = _load(folder, config, dtype, trust_remote_code)
    owner, name = _find_blocks(module, config.num_hidden_layers)
    if adapter is not None:
        (blocks,) = (path for path, part in module.named_modules() if part is getattr(owner, name))
        merge(module, adapter, blocks, whole)
    module.to(device).eval()
    if depth < whole:
        _remove_closing(module, owner, name)
    if depth == 0:
        setattr(owner, name, type(getattr(owner, name))())
    return Trunk(module, getattr(owner, name), causal, device)


def _shorten(config: Any, depth: int) -> None:
    whole = config.num_hidden_layers
    for key, value in vars(config).items():  # layer_types and its kin name each layer
        if isinstance(value, list) and len(value) == whole and "layer" in key:
            setattr(config, key, value[:depth])
    config.num_hidden_layers = depth
    config.use_cache = False


def _load(folder: Path, config: Any, dtype: Literal["bf16", "fp32"], trust_remote_code: bool) -> Any:
    from transformers import AutoModel

    try:
        with quiet():
            module, info = AutoModel.from_pretrained(
                folder,
                config=config,
                dtype=torch_dtype(dtype),
                use_safetensors=True,
                trust_remote_code=trust_remote_code,
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError) as error:
        raise _refused(folder, error) from error
    missing = sorted(key for key in info["missing_keys"] if not key.startswith("pooler."))
    if missing:
        named = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise ModelError(
            "the weights do not fit the model's configuration", where=str(folder), why=f"missing tensors: {named}"
        )
    remove_pooler(module)
    return module


def remove_pooler(module: Any) -> None:
    """Drop what an encoder has above its last layer, which checkpoints often lack."""
    if getattr(module, "pooler", None) is not None:
        module.pooler = None


def _find_blocks(module: nn.Module, depth: int) -> tuple[nn.Module, str]:
    from torch import nn

    for owner in module.modules():
        for name, child in owner.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == depth:
                return owner, name
    raise ModelError(f"the layers of {type(module).__name__} cannot be found", why="no list of that many blocks")


def _remove_closing(module: Any, owner: nn.Module, name: str) -> None:
    """Drop what runs after the last block (the final norm), found by watching one forward pass."""
    import torch
    from torch import nn

    blocks: Any = getattr(owner, name)
    order: list[nn.Module] = []
    after = [child for key, child in owner.named_children() if key != name]
    handles = [child.register_forward_hook(lambda ran, *_: order.append(ran)) for child in [*after, blocks[-1]]]
    try:
        with torch.inference_mode(), quiet():
            module(input_ids=torch.zeros(1, 2, dtype=torch.long, device=module.device))
    finally:
        for handle in handles:
            handle.remove()
    closing = order[order.index(blocks[-1]) + 1 :]
    for key, child in list(owner.named_children()):
        if any(child is ran for ran in closing):
            setattr(owner, key, nn.Identity())


def _refused(folder: Path, error: Exception) -> ModelError:
    why = str(error).strip().partition("\n")[0][:300]
    if "trust_remote_code" in str(error):
        return ModelError(
            f"the model in '{folder}' wants to run code of its own",
            why="its architecture is not part of transformers",
            fix="read that code; if you trust it, set trust_remote_code=true",
        )
    return ModelError(f"the model in '{folder}' cannot be loaded", why=f"{type(error).__name__}: {why}")
