"""Nox sessions: `nox` runs lint, types and tests; `nox -s NAME` runs one session."""

import re
import shutil
import sys
import tomllib
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "tests"]

ROOT = Path(__file__).parent
SHARED_VENV = ROOT / ".nox" / "shared"


def shared_python(session: nox.Session, extra: str) -> str:
    """Return the path of the Python in the environment that most sessions share.

    An environment with torch takes gigabytes, so sessions do not have their own. Each
    session adds the extra that it needs to the shared environment.
    """
    windows = sys.platform == "win32"
    python = SHARED_VENV / ("Scripts/python.exe" if windows else "bin/python")
    if not python.exists():
        session.run(sys.executable, "-m", "virtualenv", "-q", str(SHARED_VENV))
    session.run(str(python), "-m", "pip", "install", "-e", f".[{extra}]")
    return str(python)


@nox.session(venv_backend="none")
def demo(session: nox.Session) -> None:
    """Run the demo. Use `-- path/to/photos` for your own photographs."""
    python = shared_python(session, "demo")
    session.run(python, "docs/demo.py", *session.posargs)


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Run the tests in two processes. Use `-- --cov` to measure the coverage."""
    python = shared_python(session, "test")
    workers = ["-n", "2", "--dist", "worksteal"]
    # Threads of OpenMP that wait must not keep a processor from the other process.
    env = {"OMP_WAIT_POLICY": "passive"}
    session.run(python, "-m", "pytest", *workers, *session.posargs, env=env)


@nox.session(venv_backend="none")
def browser(session: nox.Session) -> None:
    """Run the tests of the gallery in Chromium, which must be installed."""
    names = ("chromium", "chromium-browser", "google-chrome")
    if not any(map(shutil.which, names)) or not shutil.which("chromedriver"):
        session.error(
            f"Chromium ({', '.join(names)}) and chromedriver must be on the PATH. On "
            "Debian, install them with: apt install chromium chromium-driver"
        )
    python = shared_python(session, "browser")
    session.run(python, "-m", "pytest", "tests/browser", *session.posargs)


@nox.session(venv_backend="none")
def fuzz(session: nox.Session) -> None:
    """Damage files at random for two minutes. Use `-- --seconds 3600` for an hour."""
    python = shared_python(session, "test")
    # The memory of idle threads would count towards the limit of a case.
    env = {"OMP_NUM_THREADS": "1"}
    session.run(python, "tests/fuzz/run.py", *session.posargs, env=env)


@nox.session(python="3.11")
def tests_min(session: nox.Session) -> None:
    """Run the tests with the lowest supported version of each dependency."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    ranges = project["dependencies"] + extras["plot"] + extras["graph"] + extras["heif"]
    lowest = [re.sub(r">=", "==", requirement) for requirement in ranges]
    session.install(*lowest, "-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check the style and the formatting of the code."""
    session.install("ruff>=0.7.0")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Check the type annotations."""
    python = shared_python(session, "test")
    session.run(python, "-m", "mypy")


@nox.session(venv_backend="none")
def docs(session: nox.Session) -> None:
    """Build the documentation, and treat warnings as errors."""
    python = shared_python(session, "docs")
    arguments = ["-W", "--keep-going", "-b", "html", "docs", "docs/_build/html"]
    session.run(python, "-m", "sphinx", *arguments, *session.posargs)


@nox.session(venv_backend="none")
def bench(session: nox.Session) -> None:
    """Run the benchmarks, which compare imgsim with other libraries."""
    python = shared_python(session, "bench")
    settings = ["-o", "python_files=bench_*.py", "-o", "python_functions=bench_*"]
    session.run(python, "-m", "pytest", "benchmarks", "-s", *settings, *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Build the wheel and the sdist, and install and test each of them."""
    session.install("build")
    dist = session.create_tmp()
    session.run("python", "-m", "build", "-q", "--outdir", dist, str(ROOT))
    for kind in ("*.whl", "*.tar.gz"):
        (package,) = Path(dist).glob(kind)
        session.run("pip", "uninstall", "-q", "-y", "scikit-imgsim")
        session.install(str(package))
        with session.chdir(dist):
            session.run(
                "python",
                "-c",
                "import numpy as np, imgsim; "
                "gray = np.full((1, 8, 8, 3), 128, dtype=np.uint8); "
                "X = imgsim.ColorHistogramEmbedder().fit_transform(gray); "
                "print(imgsim.__version__, X.shape, X.sum())",
            )
