"""Time and peak memory of drawing many photographs, measured in a new process."""

import subprocess
import sys

PROGRAM = """
import resource, sys, tempfile, time
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

from imgsim.display import ClusterDisplay

matplotlib.use("agg")
folder = Path(tempfile.mkdtemp())
coarse = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
photo = Image.fromarray(coarse).resize((4000, 3000), Image.Resampling.BICUBIC)
photo.save(folder / "0.jpg", quality=90)
paths = [folder / f"{i}.jpg" for i in range(1000)]
for path in paths[1:]:
    path.symlink_to(paths[0])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
del coarse, photo
start = time.perf_counter()
display = ClusterDisplay.from_predictions(paths, np.arange(1000) % 20, n_images=50)
display.plot(n_columns=25).figure_.savefig(folder / "photographs.png")
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(seconds, before / 1024, peak / 1024)
"""


def bench_many_photographs():
    """Draw and save 1,000 photographs of 12 megapixels."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True
    )

    seconds, before, peak = map(float, done.stdout.split())
    print("\n1,000 photographs of 4000 x 3000 pixels, drawn and saved")
    print(f"  {seconds:.1f} s, peak {peak:.0f} MiB; {before:.0f} MiB before")
    assert peak < 500
