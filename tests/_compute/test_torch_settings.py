"""Tests of settings that threads share."""

from imgsim._compute.torch_settings import ProcessSettings


def test_settings_stay_switched_until_the_last_leaves():
    """Whatever the order in which they enter and leave."""
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
