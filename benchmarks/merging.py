"""Our merges beside mergekit's: the same checkpoints, settings and number of threads, each merge a program of its own.

    python -m venv PEER && PEER/bin/pip install mergekit==0.1.5 torch==2.13.0
    python benchmarks/merging.py --peer PEER/bin/mergekit-yaml --threads 1
    python benchmarks/merging.py --part growth --threads 1

The checkpoints are made on the spot: a Llama of about 374 M parameters in bf16, two files each, a base and three
experts that differ from it by little, and three LoRA adapters of it. CPU seconds and the highest memory are those of a
whole program, from its start to its end, as the operating system counts them. What both wrote is compared element by
element
on the first two layers; methods that draw at random draw different numbers.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from _measure import Row, Rows, options, ratio, show, write

from superalign.merging.dtypes import encode
from superalign.merging.source import Checkpoint
from superalign.merging.writing import Draft

WIDTH, INNER, RANK = 1024, 2816, 16
LAYERS, EXPERTS = 24, 3
EXACT = ("linear", "task-arithmetic", "ties", "breadcrumbs", "breadcrumbs-ties", "model-stock", "slerp", "lora")
SPREAD = {"dense": 0.002, "adapter": 0.02}


def vocabulary(layers: int) -> int:
    """Return the number of tokens: a model of one layer is only there to compare results."""
    return 32_000 if layers > 1 else 512


def tensors(layers: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield every tensor of a Llama."""
    yield "model.embed_tokens.weight", (vocabulary(layers), WIDTH)
    for layer in range(layers):
        for part in "qkvo":
            yield f"model.layers.{layer}.self_attn.{part}_proj.weight", (WIDTH, WIDTH)
        for part, shape in (("gate", (INNER, WIDTH)), ("up", (INNER, WIDTH)), ("down", (WIDTH, INNER))):
            yield f"model.layers.{layer}.mlp.{part}_proj.weight", shape
        for part in ("input_layernorm", "post_attention_layernorm"):
            yield f"model.layers.{layer}.{part}.weight", (WIDTH,)
    yield "model.norm.weight", (WIDTH,)
    yield "lm_head.weight", (vocabulary(layers), WIDTH)


def settings(layers: int) -> dict[str, Any]:
    """Return the model's configuration."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "num_hidden_layers": layers,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "vocab_size": vocabulary(layers),
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }


def save_model(folder: Path, layers: int, number: int) -> None:
    """Write the base (number 0) or an expert: the base plus noise, in two files."""
    if folder.is_dir():
        return
    names = sorted(tensors(layers))
    half = len(names) // 2
    draft = Draft(folder, f"{layers} {number}")
    with draft.opened():
        draft.lay_out([[(name, "BF16", shape) for name, shape in part] for part in (names[:half], names[half:])])
        for place, (name, shape) in enumerate(names):
            values = np.random.default_rng(place).standard_normal(shape, dtype=np.float32) * np.float32(0.02)
            if number:
                noise = np.random.default_rng([place, number]).standard_normal(shape, dtype=np.float32)
                values += np.float32(SPREAD["dense"]) * noise
            raw = encode(values, "BF16")
            assert raw is not None
            draft.write(name, 0, raw)
            draft.finish(name, "", {})
        (draft.folder / "config.json").write_text(json.dumps(settings(layers)))
        draft.publish({})
    (folder / "superalign.json").unlink()


def save_adapter(folder: Path, base: Path, layers: int, number: int) -> None:
    """Write a LoRA adapter of the attention and the MLP."""
    from safetensors.numpy import save_file

    if folder.is_dir():
        return
    folder.mkdir()
    draw = np.random.default_rng([number, 7])
    factors, targets = {}, set()
    for name, shape in tensors(layers):
        if "_proj." in name:
            layer = f"base_model.model.{name.removesuffix('.weight')}"
            for part, size in (("A", (RANK, shape[1])), ("B", (shape[0], RANK))):
                values = draw.standard_normal(size, dtype=np.float32) * np.float32(SPREAD["adapter"])
                factors[f"{layer}.lora_{part}.weight"] = values
            targets.add(name.removesuffix(".weight").rpartition(".")[2])
    save_file(factors, folder / "adapter_model.safetensors", {"format": "pt"})
    about = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": RANK, "lora_dropout": 0.0}
    about |= {"target_modules": sorted(targets), "base_model_name_or_path": str(base), "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(about))


MERGES: dict[str, dict[str, Any]] = {
    "linear": {"merge_method": "linear"},
    "ties": {"merge_method": "ties", "density": 0.2},
    "dare": {"merge_method": "dare_linear", "density": 0.2},
    "dare-ties": {"merge_method": "dare_ties", "density": 0.2},
    "della": {"merge_method": "della", "density": 0.5, "epsilon": 0.1},
    "breadcrumbs": {"merge_method": "breadcrumbs", "density": 0.8, "gamma": 0.02},
    "model-stock": {"merge_method": "model_stock"},
    "lora": {"merge_method": "task_arithmetic"},
    "task-arithmetic": {"merge_method": "task_arithmetic"},
    "breadcrumbs-ties": {"merge_method": "breadcrumbs_ties", "density": 0.8, "gamma": 0.02},
    "slerp": {"merge_method": "slerp"},
}


def config_of(merge: str, folder: Path, layers: int, experts: int) -> dict[str, Any]:
    """Return the config that both programs read."""
    chosen = dict(MERGES[merge])
    method = chosen.pop("merge_method")
    base = str(folder / f"{layers}-0")
    names = [
        f"{base}+{folder / f'{layers}-lora-{n}'}" if merge == "lora" else str(folder / f"{layers}-{n}")
        for n in range(1, experts + 1)
    ]
    if merge == "slerp":
        return {
            "merge_method": method,
            "models": [{"model": base}, {"model": names[0]}],
            "base_model": base,
            "parameters": {"t": 0.4},
            "dtype": "bfloat16",
        }
    own = {} if method == "model_stock" else {"weight": 1 / experts, **chosen}
    found: dict[str, Any] = {"merge_method": method, "models": [{"model": name, "parameters": own} for name in names]}
    if method != "linear":
        found["base_model"] = base
    return {**found, "dtype": "bfloat16"}


def program(command: list[str], home: Path) -> Row:
    """Run a program; return what it took."""
    start = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env={**os.environ, "SUPERALIGN_HOME": str(home)})
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        if status:
            raise SystemExit(f"{command[:4]} failed:\n{said.read().decode()[-3000:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    wall = time.perf_counter() - start
    return {"wall s": wall, "CPU s": used.ru_utime + used.ru_stime, "peak GB": used.ru_maxrss * unit / 1e9}


def ours(config: Path, out: Path, threads: int) -> Row:
    """Merge with superalign; nothing is remembered of an earlier merge."""
    home = out.with_name("home")
    shutil.rmtree(home, ignore_errors=True)
    words = ["-m", "superalign", "merge", str(config), str(out), "--threads", str(threads), "--quiet"]
    return program([sys.executable, *words], home)


def theirs(peer: str, config: Path, out: Path) -> Row:
    """Merge with mergekit, whose merged adapters go to a folder that is empty before."""
    cache = out.with_name("cache")
    shutil.rmtree(cache, ignore_errors=True)
    return program([peer, str(config), str(out), "--lora-merge-cache", str(cache), "--no-write-model-card"], cache)


def apart(one: Path, other: Path) -> dict[str, float]:
    """Return how far what two programs wrote is apart: of a sample of tensors."""
    left, right = Checkpoint(one), Checkpoint(other)
    names = [name for name in sorted(left.entries) if ".layers.0." in name or ".layers.1." in name]
    differ, size, square, total = 0, 0, 0.0, 0.0
    largest = 0.0
    for name in names:
        a, b = left.array(name).astype(np.float64), right.array(name).astype(np.float64)
        differ += int((a != b).sum())
        size += a.size
        square += float(((a - b) ** 2).sum())
        total += float((a**2).sum())
        largest = max(largest, float(np.abs(a - b).max()))
    return {"share that differs": differ / size, "largest": largest, "relative": (square / total) ** 0.5}


def make(folder: Path, layers: int, experts: int, adapters: bool) -> None:
    """Write the checkpoints that are not there yet.

    Another process does it: the highest memory of a program counts what the one that started it held.
    """
    maker = multiprocessing.get_context("spawn").Process(target=_make, args=(folder, layers, experts, adapters))
    maker.start()
    maker.join()
    if maker.exitcode:
        raise SystemExit("the checkpoints cannot be made")


def _make(folder: Path, layers: int, experts: int, adapters: bool) -> None:
    for number in range(experts + 1):
        save_model(folder / f"{layers}-{number}", layers, number)
        if number and adapters:
            save_adapter(folder / f"{layers}-lora-{number}", folder / f"{layers}-0", layers, number)


def beside(merge: str, folder: Path, peer: str | None, threads: int) -> dict[str, Any]:
    """Merge with both; return what it took and how far the results are apart."""
    make(folder, LAYERS, EXPERTS, adapters=merge == "lora")
    config = folder / f"{merge}.yaml"
    config.write_text(yaml.safe_dump(config_of(merge, folder, LAYERS, EXPERTS)))
    found: dict[str, Any] = {"rows": {}}
    outs = {name: folder / f"out-{name}" for name in ("ours", "mergekit")}
    for out in outs.values():
        shutil.rmtree(out, ignore_errors=True)
    rows: Rows = found["rows"]
    if peer:
        print(f"... {merge}: mergekit", file=sys.stderr, flush=True)
        rows["mergekit"] = theirs(peer, config, outs["mergekit"])
    print(f"... {merge}: ours", file=sys.stderr, flush=True)
    rows["ours"] = ours(config, outs["ours"], threads)
    if peer:
        rows["ours / mergekit"] = ratio(rows["ours"], rows["mergekit"])
        found["apart"] = apart(outs["ours"], outs["mergekit"])
    show(f"{merge}: {EXPERTS} experts of {LAYERS} layers", rows)
    print("apart:", found.get("apart"))
    for out in outs.values():
        shutil.rmtree(out, ignore_errors=True)
    return found


def agree(folder: Path, peer: str, threads: int) -> dict[str, dict[str, float]]:
    """Merge one layer with both in fp32, by every method that draws nothing; return how far they are apart."""
    make(folder, 1, EXPERTS, adapters=True)
    found = {}
    for merge in EXACT:
        config = folder / f"agree-{merge}.yaml"
        config.write_text(yaml.safe_dump({**config_of(merge, folder, 1, EXPERTS), "dtype": "float32"}))
        outs = [folder / f"agree-{name}" for name in ("ours", "mergekit")]
        for out in outs:
            shutil.rmtree(out, ignore_errors=True)
        ours(config, outs[0], threads)
        theirs(peer, config, outs[1])
        found[merge] = apart(*outs)
        print(merge, {key: f"{value:.2g}" for key, value in found[merge].items()}, flush=True)
    return found


def growth(folder: Path, threads: int) -> Rows:
    """Merge by TIES ever larger models, and ever more experts; return what each took."""
    rows: Rows = {}
    for layers, experts in ((6, 3), (12, 3), (24, 3), (12, 2), (12, 6)):
        make(folder, layers, experts, adapters=False)
        config, out = folder / "growth.yaml", folder / "out-growth"
        config.write_text(yaml.safe_dump(config_of("ties", folder, layers, experts)))
        shutil.rmtree(out, ignore_errors=True)
        size = sum(int(np.prod(shape)) for _, shape in tensors(layers))
        rows[f"{layers} layers, {experts} experts"] = {"M parameters": size / 1e6, **ours(config, out, threads)}
        shutil.rmtree(out, ignore_errors=True)
    show("growth (ties)", rows)
    return rows


def main() -> None:
    """Run the parts asked for."""
    parser = options(__doc__)
    parser.add_argument("--peer", help="mergekit-yaml of an environment of its own")
    parser.add_argument("--part", choices=["beside", "agree", "growth", "all"], default="all")
    parser.add_argument("--only", nargs="*", choices=[*MERGES], default=[*MERGES][:8])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where checkpoints are made and kept (default: a temporary one)")
    asked = parser.parse_args()
    os.environ["SUPERALIGN_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(asked.threads)
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        figures: dict[str, Any] = {}
        if asked.part in ("agree", "all") and asked.peer:
            figures["agree"] = agree(folder, asked.peer, asked.threads)
        if asked.part in ("beside", "all"):
            figures["beside"] = {merge: beside(merge, folder, asked.peer, asked.threads) for merge in asked.only}
        if asked.part in ("growth", "all"):
            figures["growth"] = growth(folder, asked.threads)
    write(asked.json, figures)


if __name__ == "__main__":
    main()
