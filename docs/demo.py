"""Find similar pictures and groups, print how well, and draw them.

Without arguments, on pictures that scikit-learn carries: near copies of cuts of two
photographs, and handwritten digits. With a folder of photographs, on those.
"""

import argparse
import os
import socket
import sys
import warnings
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline

from imgsim import (
    AutoencoderEmbedder,
    ColorHistogramEmbedder,
    ImageClusterer,
    ImageEmbedder,
    SimilarityIndex,
    list_images,
    load_image_folder,
)
from imgsim.datasets import load_digit_images, load_sample_photos
from imgsim.display import (
    ClusterDisplay,
    EmbeddingMapDisplay,
    NeighborsDisplay,
    ReconstructionDisplay,
    write_gallery,
)
from imgsim.exceptions import WeakClustersWarning, WeightsUnavailableError
from imgsim.metrics import precision_at_k, retrieval_report

MANY_IMAGES = 200


def main() -> None:
    """Run the demo on the folder named on the command line, or on known pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="a folder of photographs")
    parser.add_argument("--output", type=Path, default=Path("demo_figures"))
    arguments = parser.parse_args()
    mpl.use("agg")
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.folder is None:
        find_near_copies(arguments.output)
        group_digits(arguments.output)
        learn_digits(arguments.output)
    else:
        explore_folder(arguments.folder, arguments.output)


def find_near_copies(output: Path) -> None:
    """Look up 16 pictures, and a stranger, among near copies of the 16."""
    print("\n1. Near copies. 16 cuts of two photographs, 5 near copies of each.")
    photos = load_sample_photos()
    names = np.array(photos.copy_names)
    originals = np.flatnonzero(names == "original")
    copies = np.flatnonzero(names != "original")
    collection = [photos.images[i] for i in copies]
    finder = make_pipeline(
        ColorHistogramEmbedder(verbose=1), SimilarityIndex(metric="manhattan")
    )
    finder.fit(collection, photos.target[copies])
    queries = [photos.images[i] for i in originals]
    precision = finder.score(queries, photos.target[originals])
    print(f"   Of the 5 pictures most like each cut, {precision:.1%} are its copies.")

    stranger = load_digit_images(n_per_class=1, size=160).images[3]
    shown = [queries[i] for i in (1, 5, 6, 10, 14)] + [stranger]
    display = NeighborsDisplay.from_estimator(
        finder, shown, images=collection, max_distance=1.0
    )
    save(display, output / "near_copies.png")
    page = write_gallery(
        output / "near_copies.html",
        collection,
        index=finder[-1],
        labels=[photos.target_names[i] for i in photos.target[copies]],
        positions=PCA(2).fit_transform(finder[:-1].transform(collection)),
        queries=finder[:-1].transform(shown),
        query_images=shown,
        max_distance=1.0,
        title="Near copies",
    )
    print(f"   Written: {page}, to be opened in a browser.")


def group_digits(output: Path) -> None:
    """Search and cluster the handwritten digits by where their ink is."""
    digits = load_digit_images()
    print(f"\n2. Handwritten digits. {len(digits.images)} pictures of 10 digits.")
    # Grey pictures: no hue and no saturation to count, but a fine grid.
    embedder = ColorHistogramEmbedder(
        bins=(1, 1, 4), grid=(8, 8), image_size=32, verbose=1
    )
    X = embedder.fit_transform(digits.images)
    report_neighbors(X, digits.target)

    clusterer = ImageClusterer(
        n_clusters=10,
        metric="euclidean",
        algorithm_params={"n_init": 10},
        random_state=0,
    ).fit(X)
    rand_index = adjusted_rand_score(digits.target, clusterer.labels_)
    print(f"\n   In 10 groups, the adjusted Rand index is {rand_index:.3f}.")
    display = ClusterDisplay.from_estimator(clusterer, X, images=digits.images)
    save(display, output / "digit_groups.png")
    chart_path, page = output / "digit_map.png", output / "digits.html"
    look_through(digits.images, X, clusterer, chart_path, page)


def look_through(
    images: Any, X: np.ndarray, clusterer: ImageClusterer, chart_path: Path, page: Path
) -> None:
    """Draw a map, and write a page of all pictures with their groups."""
    chart = EmbeddingMapDisplay.from_estimator(
        clusterer, X, images=images, random_state=0
    )
    save(chart, chart_path)
    write_gallery(
        page,
        images,
        X,
        labels=clusterer.labels_,
        positions=chart.positions,
        title=page.stem.capitalize(),
    )
    print(f"   Written: {page}, to be opened in a browser.")


def report_neighbors(X: np.ndarray, target: np.ndarray) -> None:
    """Print how often the nearest rows are of the same class."""
    _, indices = SimilarityIndex(n_neighbors=10).fit(X).kneighbors()
    relevance = target[indices] == target[:, None]
    n_relevant = np.bincount(target)[target] - 1
    print("   How many of the nearest pictures show the same digit:\n")
    print(retrieval_report(relevance, n_relevant, ks=(1, 5, 10)))


def learn_digits(output: Path) -> None:
    """Learn the digits by an autoencoder, search them again, and give them back."""
    digits = load_digit_images(n_per_class=60)
    print(f"\n3. {len(digits.images)} of them, learned by an autoencoder.")
    embedder = AutoencoderEmbedder(
        latent_dim=32, image_size=32, color="gray", random_state=0, verbose=1
    )
    X = embedder.fit_transform(digits.images)
    report_neighbors(X, digits.target)

    error = -embedder.score(digits.images)
    print(f"\n   From 32 numbers, digits come back with an error of {error:.4f}.")
    display = ReconstructionDisplay.from_estimator(embedder, digits.images, n_images=20)
    save(display, output / "digit_reconstructions.png")


def explore_folder(folder: Path, output: Path) -> None:
    """Search and cluster the user's own photographs."""
    paths, target = list_with_classes(folder)
    if len(paths) < 3:
        sys.exit(f"{folder} holds {len(paths)} images; the demo wants at least 3.")
    print(f"\n{len(paths)} images in {folder}.")
    X = embed_photographs(paths)
    n_neighbors = min(5, int((~np.isnan(X[:, 0])).sum()) - 1)
    index = SimilarityIndex(n_neighbors).fit(X)
    _, indices = index.kneighbors()
    readable = np.flatnonzero(indices[:, 0] >= 0)
    clusterer = group_photographs(X)
    if target is not None:
        relevance = target[indices[readable]] == target[readable, None]
        precision = precision_at_k(relevance, k=n_neighbors)
        rand_index = adjusted_rand_score(target, clusterer.labels_)
        print(f"   Precision at {n_neighbors} by subfolder: {precision:.3f}.")
        print(f"   Adjusted Rand index of the groups and subfolders: {rand_index:.3f}.")

    shown = readable[
        np.linspace(0, len(readable) - 1, min(6, len(readable)), dtype=int)
    ]
    neighbors = NeighborsDisplay.from_index(index, images=paths, rows=shown)
    save(neighbors, output / "neighbors.png")
    groups = ClusterDisplay.from_estimator(clusterer, X, images=paths)
    save(groups, output / "groups.png")
    look_through(paths, X, clusterer, output / "map.png", output / "gallery.html")


def list_with_classes(folder: Path) -> tuple[list[Path], np.ndarray | None]:
    """Return the images of a folder, and their subfolders as classes if it has any."""
    paths = list_images(folder)
    if not all(len(path.relative_to(folder).parts) > 1 for path in paths) or not paths:
        return paths, None
    data = load_image_folder(folder)
    return data.paths, data.target if len(data.target_names) > 1 else None


def embed_photographs(paths: list[Path]) -> np.ndarray:
    """Embed by a pretrained network where one can be had, else by colour."""
    if not hub_is_reachable():
        os.environ["HF_HUB_OFFLINE"] = "1"  # the cache, without minutes of retries
    try:
        embedder = ImageEmbedder("resnet50", on_error="nan", verbose=1).fit()
    except WeightsUnavailableError:
        print(
            "   No pretrained network can be had here (no network, empty cache), so "
            "pictures are compared by colour alone;\n   with a network, or a filled "
            "cache of huggingface_hub, the demo compares what they show."
        )
        embedder = ColorHistogramEmbedder(on_error="nan", verbose=1)
    return embedder.fit_transform(paths)


def group_photographs(X: np.ndarray) -> ImageClusterer:
    """Group rows, and print how large the groups are, and how much they mean."""
    # Leiden joins each image with 20 others: too many for the groups of a small folder.
    algorithm = "leiden" if len(X) >= MANY_IMAGES else "kmeans"
    clusterer = ImageClusterer(
        algorithm=algorithm, metric="cosine", n_components="auto", random_state=0
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", WeakClustersWarning)
        try:
            clusterer.fit(X)
        except ValueError as error:  # too few images differ
            sys.exit(f"   There are no groups to find: {error}")
    sizes = ", ".join(map(str, clusterer.cluster_sizes_))
    print(f"   Groups by {algorithm}: {clusterer.n_clusters_}, of {sizes} images.")
    for warning in caught:
        print(f"   Take them with care: {warning.message}")
    return clusterer


def hub_is_reachable() -> bool:
    """Tell whether the host of the pretrained weights answers within 3 seconds."""
    try:
        socket.create_connection(("huggingface.co", 443), timeout=3).close()
    except OSError:
        return False
    return True


def save(
    display: NeighborsDisplay | ClusterDisplay | ReconstructionDisplay, path: Path
) -> None:
    """Draw a display into a file and say where it is."""
    display.plot().figure_.savefig(path, dpi=100)
    print(f"   Drawn: {path.resolve()}")


if __name__ == "__main__":
    main()
