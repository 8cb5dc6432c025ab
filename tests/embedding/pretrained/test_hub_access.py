"""Without a network, a model that has to be downloaded fails quickly."""

import json
import os
import socket
import subprocess
import sys
import threading

import pytest

from imgsim.embedding.pretrained import _hub_access
from imgsim.embedding.pretrained._hub_access import is_reachable, offline_hub

_CHILD = """
import json, socket, sys, time

def refuse(*args, **kwargs):
    raise socket.gaierror("the network is closed")

socket.getaddrinfo = socket.socket.connect = refuse
import timm, torch
from imgsim import ImageEmbedder
from imgsim.exceptions import WeightsUnavailableError

results = []
for model in sys.argv[1:]:
    start = time.perf_counter()
    try:
        ImageEmbedder(model, device="cpu").fit()
    except WeightsUnavailableError as error:
        results.append([model, str(error), time.perf_counter() - start])
print(json.dumps(results))
"""


def test_a_closed_network_is_reported_within_five_seconds(tmp_path):
    """The hub client would retry for a minute, and print each attempt."""
    models = ["resnet18", "hf-hub:timm/resnet18.a1_in1k", "gcvit_xxtiny"]
    env = {**os.environ, "HF_HOME": str(tmp_path), "TORCH_HOME": str(tmp_path)}

    child = subprocess.run(
        [sys.executable, "-c", _CHILD, *models],
        capture_output=True,
        text=True,
        env=env,
        check=True,
    )

    assert "retry" not in child.stderr.lower()
    results = json.loads(child.stdout.splitlines()[-1])
    assert [model for model, _, _ in results] == models
    for _, message, seconds in results:
        assert seconds < 5
        remedies = ("scikit-imgsim[offline]", "checkpoint_path", "HF_HOME")
        positions = [message.index(remedy) for remedy in remedies]
        assert positions == sorted(positions)


@pytest.fixture
def server():
    """Return a socket that accepts connections on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_server_that_listens_is_reachable(server, monkeypatch):
    """Downloads must not be refused where they work."""
    monkeypatch.setattr(_hub_access, "getproxies", dict)
    port = server.getsockname()[1]

    assert is_reachable(f"http://127.0.0.1:{port}/model")

    server.close()
    assert not is_reachable(f"http://127.0.0.1:{port}/model")


def test_a_proxy_is_contacted_instead_of_the_server(server, monkeypatch):
    """Behind a proxy, the hub itself does not accept connections."""
    port = server.getsockname()[1]
    proxies = {"https": f"http://127.0.0.1:{port}"}
    monkeypatch.setattr(_hub_access, "getproxies", lambda: proxies)
    monkeypatch.setattr(_hub_access, "proxy_bypass", lambda host: False)

    assert is_reachable("https://huggingface.invalid")


def test_a_name_server_that_does_not_answer_is_not_waited_for(monkeypatch):
    """The resolution of names has no timeout of its own."""
    released = threading.Event()
    monkeypatch.setattr(_hub_access, "_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(_hub_access, "getproxies", dict)

    def wait(*args, **kwargs):
        released.wait()
        raise socket.gaierror("no answer")

    monkeypatch.setattr(socket, "getaddrinfo", wait)

    assert not is_reachable("https://huggingface.invalid")
    released.set()


def test_the_mode_of_the_hub_is_restored():
    """The application decides whether its other downloads are allowed."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE

    with offline_hub():
        inside = constants.HF_HUB_OFFLINE

    assert inside
    assert before == constants.HF_HUB_OFFLINE
