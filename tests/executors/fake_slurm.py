"""Commands that stand in for SLURM's on PATH: a job is a process, its state a file."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

HEAD = f"#!{sys.executable}\n"
SBATCH = (
    HEAD
    + """
import os, re, subprocess, sys
from pathlib import Path
home = Path(__file__).parent
script = Path(sys.argv[1])
if (home / "refuse").exists():
    sys.exit("sbatch: error: invalid partition specified: nowhere")
(home / "scripts").mkdir(exist_ok=True)
number = 1 + len(list((home / "scripts").iterdir()))
(home / "scripts" / str(number)).write_text(script.read_text())
array = re.search(r"#SBATCH --array=0-(\\d+)", script.read_text())
for place in range(int(array[1]) + 1) if array else [None]:
    name = f"{number}_{place}" if array else str(number)
    more = {"SLURM_ARRAY_JOB_ID": str(number), "SLURM_ARRAY_TASK_ID": str(place)} if array else {}
    env = {**os.environ, "SLURM_JOB_ID": str(number), "SLURM_NTASKS": "1", "SLURM_JOB_NUM_NODES": "1",
           "SLURM_NODEID": "0", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_JOB_NODELIST": "node1", **more}
    (home / "states").mkdir(exist_ok=True)
    (home / "states" / name).write_text("RUNNING")
    runner = [sys.executable, str(home / "runner"), str(script), name]
    subprocess.Popen(runner, env=env, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(f"Submitted batch job {number}")
"""
)
RUNNER = (
    HEAD
    + """
import subprocess, sys
from pathlib import Path
home = Path(__file__).parent
ended = subprocess.run(["bash", sys.argv[1]])
(home / "states" / sys.argv[2]).write_text("COMPLETED" if ended.returncode == 0 else "NODE_FAIL")
"""
)
SRUN = (
    HEAD
    + """
import subprocess, sys
words = iter(sys.argv[1:])
command = next(words)
while command.startswith("-"):
    if command in ("--output", "--error"):
        next(words)
    command = next(words)
sys.exit(1 if subprocess.run([command, *words]).returncode else 0)
"""
)
SACCT = (
    HEAD
    + """
from pathlib import Path
home = Path(__file__).parent
(home / "asked").open("a").write("sacct\\n")
print("JobID|State|NodeList")
for state in sorted((home / "states").iterdir()):
    print(f"{state.name}|{state.read_text()}|node1")
"""
)
SQUEUE = (
    HEAD
    + """
from pathlib import Path
for state in sorted((Path(__file__).parent / "states").iterdir()):
    if state.read_text() == "RUNNING":
        print(state.name)
"""
)
NO_ACCOUNTING = HEAD + 'import sys\nsys.exit("Slurm accounting storage is disabled")\n'
SCANCEL = (
    HEAD
    + """
import sys
from pathlib import Path
Path(__file__).parent.joinpath("cancelled").open("a").write(f"{sys.argv[1:]}\\n")
"""
)


def install(folder: Path) -> Path:
    """Write the commands into a folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    commands = {"sbatch": SBATCH, "srun": SRUN, "sacct": SACCT, "squeue": SQUEUE, "scancel": SCANCEL, "runner": RUNNER}
    for name, text in commands.items():
        file = folder / name
        file.write_text(text, encoding="utf-8")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return folder


def on_path(folder: Path) -> str:
    """Return a PATH that begins with a folder."""
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
