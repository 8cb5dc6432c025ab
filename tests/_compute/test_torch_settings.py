"""Tests of settings that all threads of a process share."""

from imgsim._compute.torch_settings import ProcessSettings


def test_settings_are_restored_when_the_last_thread_leaves():
    """Threads may enter and leave in any order."""
    log = []

    def switch():
        log.append("on")
        return lambda: log.append("off")

    setting = ProcessSettings(switch)
    setting.__enter__()
    setting.__enter__()
    setting.__exit__(None, None, None)
    assert log == ["on"]

    setting.__exit__(None, None, None)
    with setting:
        assert log == ["on", "off", "on"]
    assert log == ["on", "off", "on", "off"]
