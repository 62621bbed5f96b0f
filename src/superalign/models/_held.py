"""What is read once a process and model: configuration, tokenizer, trunk. A changed file is read again."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from superalign.errors import ModelError
from superalign.models._adapter import check_adapter
from superalign.models._folder import CONFIG, GENERATION, check_folder, find_folder, folder_digests, read_json
from superalign.models._torch import quiet

if TYPE_CHECKING:
    from superalign.models._speech import Speech
    from superalign.models._trunk import Trunk

Stamp = tuple[tuple[str, int, int], ...]
TRUNKS = 2  # weak and strong


def folder_of(path: str, revision: str | None) -> Path:
    """Return the checked folder of a model, see `find_folder`."""
    folder = _snapshot(path, revision) if not Path(path).expanduser().exists() else find_folder(path)
    check_folder(folder)
    return folder


def digests_of(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file that decides the model's answers."""
    return _digests(folder, _stamp(folder))


def config_of(folder: Path, trust_remote_code: bool) -> Any:
    """Return the model's configuration; not to be changed."""
    return _config(folder, _stamp(folder), trust_remote_code)


def tokenizer_of(folder: Path, trust_remote_code: bool) -> Any:
    """Return the model's tokenizer.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    return _tokenizer(folder, _stamp(folder), trust_remote_code)


def ends_of(folder: Path) -> frozenset[int]:
    """Return the tokens that end what the model writes, by the folder's own generation settings."""
    return _ends(folder, _stamp(folder))


def adapter_of(path: str, base: Path) -> Path:
    """Return the checked folder of an adapter, see `check_adapter`."""
    folder = Path(path).expanduser()
    return _adapter(path, _stamp(folder) if folder.is_dir() else (), base, _stamp(base))


def trunk_of(
    folder: Path,
    depth: int,
    dtype: Literal["bf16", "fp32"],
    device: str,
    trust_remote_code: bool,
    adapter: Path | None = None,
) -> Trunk:
    """Return the trunk cut off at `depth`, for inference only."""
    learnt = None if adapter is None else (adapter, _stamp(adapter))
    return _trunk(folder, _stamp(folder), depth, dtype, device, trust_remote_code, learnt)


def speech_of(
    folder: Path,
    dtype: Literal["bf16", "fp32"],
    device: str,
    trust_remote_code: bool,
    adapter: Path | None = None,
) -> Speech:
    """Return the whole language model, for inference only.

    Raises:
        ModelError: the folder holds no language head.
    """
    learnt = None if adapter is None else (adapter, _stamp(adapter))
    return _speech(folder, _stamp(folder), dtype, device, trust_remote_code, learnt)


def _stamp(folder: Path) -> Stamp:
    status = ((file.name, file.stat()) for file in sorted(folder.iterdir()) if file.is_file())
    return tuple((name, state.st_size, state.st_mtime_ns) for name, state in status)


@lru_cache(maxsize=8)
def _snapshot(path: str, revision: str | None) -> Path:
    return find_folder(path, revision)


@lru_cache(maxsize=8)
def _digests(folder: Path, stamp: Stamp) -> dict[str, str]:
    return folder_digests(folder)


@lru_cache(maxsize=8)
def _ends(folder: Path, stamp: Stamp) -> frozenset[int]:
    for name in (GENERATION, CONFIG):
        said = (read_json(folder / name) or {}).get("eos_token_id")
        if said is not None:
            return frozenset(said if isinstance(said, list) else [said])
    return frozenset()


@lru_cache(maxsize=8)
def _adapter(path: str, stamp: Stamp, base: Path, base_stamp: Stamp) -> Path:
    return check_adapter(path, base)


@lru_cache(maxsize=8)
def _config(folder: Path, stamp: Stamp, trust_remote_code: bool) -> Any:
    from superalign.models._trunk import read_config

    return read_config(folder, trust_remote_code)


@lru_cache(maxsize=8)
def _tokenizer(folder: Path, stamp: Stamp, trust_remote_code: bool) -> Any:
    from transformers import AutoTokenizer

    try:
        with quiet():
            return AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        why = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:300]}"
        raise ModelError(f"the tokenizer in '{folder}' cannot be loaded", why=why) from error


@lru_cache(maxsize=TRUNKS)
def _trunk(
    folder: Path,
    stamp: Stamp,
    depth: int,
    dtype: Literal["bf16", "fp32"],
    device: str,
    trust_remote_code: bool,
    adapter: tuple[Path, Stamp] | None,
) -> Trunk:
    from superalign.models._packed import pack
    from superalign.models._trunk import load_trunk

    trunk = load_trunk(folder, depth, dtype, device, trust_remote_code, adapter[0] if adapter else None)
    if device == "cpu" and dtype == "bf16":
        with quiet():
            pack(trunk.module)
    return trunk


@lru_cache(maxsize=TRUNKS)
def _speech(
    folder: Path,
    stamp: Stamp,
    dtype: Literal["bf16", "fp32"],
    device: str,
    trust_remote_code: bool,
    adapter: tuple[Path, Stamp] | None,
) -> Speech:
    from superalign.models._head import load_head
    from superalign.models._speech import Speech

    config = _config(folder, stamp, trust_remote_code)
    trunk = _trunk(folder, stamp, int(config.num_hidden_layers), dtype, device, trust_remote_code, adapter)
    with quiet():
        return Speech(trunk, load_head(folder, config, trunk.module), config)
