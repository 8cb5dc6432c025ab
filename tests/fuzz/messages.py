"""What the message of each error must contain."""


def check_message(error, path):
    """Raise AssertionError if an error does not name the file, or is very long."""
    if str(path) not in str(error) or len(str(error)) > 5000:
        raise AssertionError("the message does not name the file briefly") from error
