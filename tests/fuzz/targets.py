"""The kinds of files that are fuzzed.

A target damages a valid file, and raises an exception if imgsim does not behave
correctly. It is correct to raise the error that is documented for damaged files.
It is a failure to return wrong rows, to raise another exception, to exhaust the memory,
to crash, or not to end.
"""

from cache_target import CacheTarget
from image_target import ImageTarget
from index_target import IndexTarget
from weights_target import WeightsTarget

TARGETS = {
    "images": ImageTarget,
    "weights": WeightsTarget,
    "index": IndexTarget,
    "cache": CacheTarget,
}
