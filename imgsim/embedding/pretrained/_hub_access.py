"""A quick check of whether weights can be downloaded."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

__all__ = ["is_reachable", "offline_hub"]

_TIMEOUT_SECONDS = 3.0
_DEFAULT_PORTS = {"http": 80, "https": 443}


def is_reachable(url: str) -> bool:
    """Return whether the host of a URL, or the proxy for it, accepts a connection.

    The resolution of a host name has no timeout of its own, so it runs in a thread.
    """
    reached = threading.Event()
    finished = threading.Event()

    def connect() -> None:
        try:
            with socket.create_connection(_address(url), _TIMEOUT_SECONDS):
                reached.set()
        except OSError:
            pass
        finally:
            finished.set()

    threading.Thread(target=connect, daemon=True).start()
    finished.wait(_TIMEOUT_SECONDS)
    return reached.is_set()


@contextmanager
def offline_hub() -> Iterator[None]:
    """Let huggingface_hub use only files that it has already downloaded."""
    from huggingface_hub import constants

    was_offline = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = was_offline


def _address(url: str) -> tuple[str, int]:
    """Return the host and the port to connect to."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy and not proxy_bypass(host):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        host = parts.hostname or ""
    return host, parts.port or _DEFAULT_PORTS.get(parts.scheme, 1080)
