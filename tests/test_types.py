"""Test that a type checker finds the mistakes in a caller's code, and nothing else."""

import re
import textwrap

from mypy import api

CONFIG = """
[mypy]
strict = true
# Packages without type annotations, or whose annotations are slow to analyze.
[mypy-sklearn.*,scipy.*,joblib.*,tqdm.*,threadpoolctl.*,pynndescent.*,torchvision.*]
ignore_missing_imports = true
[mypy-torch.*,timm.*,matplotlib.*,PIL.*,pandas.*]
follow_imports = skip
"""

# Each line that ends in a comment has exactly the error with this code.
USER_CODE = """
import numpy as np
from imgsim import (
    AutoencoderEmbedder,
    ColorHistogramEmbedder,
    ImageClusterer,
    ImageEmbedder,
    SimilarityIndex,
    copy_to_folders,
    find_duplicates,
    label_table,
    list_images,
    read_image,
    select_k,
)
from imgsim.display import ClusterDisplay, NeighborsDisplay
from typing import assert_type

paths = list_images("photos")
X = ImageEmbedder("resnet50", precision="auto", cache="rows.db").transform(paths)
Y = ColorHistogramEmbedder(grid=(2, 2)).fit(paths).transform(paths)
Z = AutoencoderEmbedder(16, random_state=0).fit(paths).transform(paths)

index = assert_type(SimilarityIndex().fit(X, ids=paths), SimilarityIndex)
distances, ids = index.search(X[:1], n_neighbors=3, max_distance=0.4)
print(distances[0].mean(), ids[0].tolist(), index.search(X).ids[0])
index.add(Y, ids=paths).remove(paths[:1])
index.set_params(n_neighbors=3).set_output(transform="pandas")

clusterer = ImageClusterer(algorithm="leiden", n_components="auto")
clusterer = assert_type(clusterer.fit(X), ImageClusterer)
clusterer.report().to_csv("clusters.csv")
label_table(paths, clusterer.labels_).to_csv("labels.csv")
copy_to_folders(paths, clusterer.labels_, "clusters")
print(select_k(X, range(2, 5)).best_k, clusterer.fit_predict(X), read_image(paths[0]))
for group in find_duplicates(index, max_distance=0.1):
    print(group.kept, group.extra)
ClusterDisplay.from_estimator(clusterer, X, images=paths).plot()

SimilarityIndex().fit(X, idz=3)  # call-arg
SimilarityIndex(metrik="cosine")  # call-arg
SimilarityIndex(algorithm="brute force")  # arg-type
SimilarityIndex().serach(X)  # attr-defined
SimilarityIndex().search(X, n_neighbours=3)  # call-arg
index.search(X, max_distance="near")  # arg-type
find_duplicates(X, max_dist=3)  # call-arg
find_duplicates(X, keep="largest")  # arg-type
ImageClusterer(algorithm="kmeens")  # arg-type
ImageClusterer(metric="manhattan")  # arg-type
ImageClusterer().fit(X, n_clusters=3)  # call-arg
ImageClusterer().fit_predikt(X)  # attr-defined
select_k(X, range(2, 5), criterion="elbow")  # arg-type
ImageEmbedder(precision="float64")  # arg-type
ImageEmbedder(on_error="skip")  # arg-type
ImageEmbedder().transform(paths, 3)  # call-arg
ImageEmbedder().set_output(transform="numpy")  # arg-type
AutoencoderEmbedder(augment="strong")  # arg-type
ColorHistogramEmbedder(normalize="l1")  # arg-type
NeighborsDisplay.from_index(X, images=paths)  # arg-type
copy_to_folders(paths, clusterer.labels_, "clusters", mode="shortcut")  # arg-type
"""


def test_a_type_checker_finds_the_mistakes_of_a_caller(tmp_path):
    """Untyped decorators and base classes would turn every method into Any."""
    code = textwrap.dedent(USER_CODE)
    (tmp_path / "user.py").write_text(code)
    (tmp_path / "mypy.ini").write_text(CONFIG)
    expected = {
        number: line.rpartition("  # ")[2]
        for number, line in enumerate(code.splitlines(), 1)
        if "  # " in line
    }

    arguments = ["--config-file", str(tmp_path / "mypy.ini")]
    report, errors, _ = api.run(
        [*arguments, "--cache-dir", str(tmp_path), str(tmp_path / "user.py")]
    )

    found = re.findall(r"user\.py:(\d+): error: .*\[([\w-]+)\]", report)
    assert {int(number): error for number, error in found} == expected, report + errors
