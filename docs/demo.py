"""Search and cluster images, evaluate the results, and plot them.

Without arguments, the demo uses images that need no download: near copies of crops of
two photographs, and handwritten digits. Pass a folder to use your own photographs.
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
    """Run the demo with the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "folder", nargs="?", type=Path, help="folder of photographs to use"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("demo_figures"),
        help="folder for the figures (default: %(default)s)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="use fewer digits and fewer epochs of training",
    )
    arguments = parser.parse_args()
    mpl.use("agg")
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.folder is not None:
        explore_folder(arguments.folder, arguments.output)
        return
    find_near_copies(arguments.output)
    if arguments.quick:
        cluster_digits(arguments.output, n_per_class=40)
        train_autoencoder(arguments.output, n_per_class=10, max_epochs=3)
    else:
        cluster_digits(arguments.output, n_per_class=None)
        train_autoencoder(arguments.output, n_per_class=60, max_epochs=12)


def find_near_copies(output: Path) -> None:
    """Search for near copies of 16 images, and of an image that has none."""
    print("\n1. Near copies: 16 crops of two photographs, with 5 near copies of each.")
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
    print(f"   Of the 5 nearest images of each crop, {precision:.1%} are its copies.")

    unknown = load_digit_images(n_per_class=1, size=160).images[3]
    shown = [queries[i] for i in (1, 5, 6, 10, 14)] + [unknown]
    display = NeighborsDisplay.from_estimator(
        finder, shown, images=collection, max_distance=1.0
    )
    save_figure(display, output / "near_copies.png")
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
    print(f"   Wrote {page.resolve()}. Open it in a browser.")


def cluster_digits(output: Path, n_per_class: int | None) -> None:
    """Search and cluster handwritten digits by the position of their ink."""
    digits = load_digit_images(n_per_class=n_per_class)
    print(f"\n2. Handwritten digits: {len(digits.images)} images of 10 digits.")
    # Gray images have no hue and no saturation, so a single bin is enough for each.
    embedder = ColorHistogramEmbedder(
        bins=(1, 1, 4), grid=(8, 8), image_size=32, verbose=1
    )
    X = embedder.fit_transform(digits.images)
    report_neighbors(X, digits.target)

    clusterer = ImageClusterer(
        n_clusters=10, algorithm_params={"n_init": 10}, random_state=0
    ).fit(X)
    rand_index = adjusted_rand_score(digits.target, clusterer.labels_)
    print(f"\n   The adjusted Rand index of 10 clusters is {rand_index:.3f}.")
    display = ClusterDisplay.from_estimator(clusterer, X, images=digits.images)
    save_figure(display, output / "digit_clusters.png")
    map_path, page = output / "digit_map.png", output / "digits.html"
    write_map_and_gallery(digits.images, X, clusterer, map_path, page)


def write_map_and_gallery(
    images: Any, X: np.ndarray, clusterer: ImageClusterer, map_path: Path, page: Path
) -> None:
    """Draw a map of all images, and write a gallery with their clusters."""
    display = EmbeddingMapDisplay.from_estimator(
        clusterer, X, images=images, random_state=0
    )
    save_figure(display, map_path)
    write_gallery(
        page,
        images,
        X,
        labels=clusterer.labels_,
        positions=display.positions,
        title=page.stem.capitalize(),
    )
    print(f"   Wrote {page.resolve()}. Open it in a browser.")


def report_neighbors(X: np.ndarray, target: np.ndarray) -> None:
    """Print how often the nearest images are of the same class."""
    _, indices = SimilarityIndex(n_neighbors=10).fit(X).kneighbors()
    relevance = target[indices] == target[:, None]
    n_relevant = np.bincount(target)[target] - 1
    print("   How well a search finds images of the same digit:\n")
    print(retrieval_report(relevance, n_relevant, ks=(1, 5, 10)))


def train_autoencoder(output: Path, n_per_class: int, max_epochs: int) -> None:
    """Train an autoencoder on digits, search them, and reconstruct them."""
    digits = load_digit_images(n_per_class=n_per_class)
    print(f"\n3. Autoencoder: trained on {len(digits.images)} of the digits.")
    embedder = AutoencoderEmbedder(
        latent_dim=32,
        image_size=32,
        color="gray",
        max_epochs=max_epochs,
        random_state=0,
        verbose=1,
    )
    X = embedder.fit_transform(digits.images)
    report_neighbors(X, digits.target)

    error = -embedder.score(digits.images)
    print(f"\n   The reconstruction error from 32 numbers is {error:.4f}.")
    display = ReconstructionDisplay.from_estimator(embedder, digits.images, n_images=20)
    save_figure(display, output / "digit_reconstructions.png")


def explore_folder(folder: Path, output: Path) -> None:
    """Search and cluster the user's own photographs."""
    paths, target = list_with_classes(folder)
    if len(paths) < 3:
        sys.exit(f"{folder} has {len(paths)} images. The demo needs at least 3.")
    print(f"\n{len(paths)} images in {folder}.")
    X = embed_photographs(paths)
    n_neighbors = min(5, int((~np.isnan(X[:, 0])).sum()) - 1)
    index = SimilarityIndex(n_neighbors).fit(X)
    _, indices = index.kneighbors()
    readable = np.flatnonzero(indices[:, 0] >= 0)
    clusterer = cluster_photographs(X)
    if target is not None:
        relevance = target[indices[readable]] == target[readable, None]
        precision = precision_at_k(relevance, k=n_neighbors)
        rand_index = adjusted_rand_score(target, clusterer.labels_)
        print("   With the subfolders as classes:")
        print(f"   - the precision at {n_neighbors} is {precision:.3f};")
        print(f"   - the adjusted Rand index of the clusters is {rand_index:.3f}.")

    shown = readable[
        np.linspace(0, len(readable) - 1, min(6, len(readable)), dtype=int)
    ]
    neighbors = NeighborsDisplay.from_index(index, images=paths, rows=shown)
    save_figure(neighbors, output / "neighbors.png")
    clusters = ClusterDisplay.from_estimator(clusterer, X, images=paths)
    save_figure(clusters, output / "clusters.png")
    write_map_and_gallery(
        paths, X, clusterer, output / "map.png", output / "gallery.html"
    )


def list_with_classes(folder: Path) -> tuple[list[Path], np.ndarray | None]:
    """Return the images of a folder, and their subfolders as classes if it has any."""
    paths = list_images(folder)
    if not all(len(path.relative_to(folder).parts) > 1 for path in paths) or not paths:
        return paths, None
    data = load_image_folder(folder)
    return data.paths, data.target if len(data.target_names) > 1 else None


def embed_photographs(paths: list[Path]) -> np.ndarray:
    """Embed images by a pretrained network if it is available, and else by color."""
    if "HF_HUB_OFFLINE" not in os.environ and not hub_is_reachable():
        os.environ["HF_HUB_OFFLINE"] = "1"  # avoid minutes of retries
    try:
        embedder = ImageEmbedder("resnet50", on_error="nan", verbose=1).fit()
    except WeightsUnavailableError:
        print(
            "   No pretrained network is available: there is no network connection, "
            "and no weights are in the\n   cache of huggingface_hub. The images are "
            "compared by color instead of by what they show."
        )
        embedder = ColorHistogramEmbedder(on_error="nan", verbose=1)
    return embedder.fit_transform(paths)


def cluster_photographs(X: np.ndarray) -> ImageClusterer:
    """Cluster embeddings, and print the cluster sizes and any warnings."""
    # Leiden connects each image with 20 others, too many for a small collection.
    algorithm = "leiden" if len(X) >= MANY_IMAGES else "kmeans"
    clusterer = ImageClusterer(algorithm=algorithm, n_components="auto", random_state=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", WeakClustersWarning)
        try:
            clusterer.fit(X)
        except ValueError as error:  # too few distinct images
            sys.exit(f"   The images cannot be clustered: {error}")
    sizes = ", ".join(map(str, clusterer.cluster_sizes_))
    print(f"   {algorithm} found {clusterer.n_clusters_} clusters of {sizes} images.")
    for warning in caught:
        print(f"   Warning: {warning.message}")
    return clusterer


def hub_is_reachable() -> bool:
    """Tell whether the host of the pretrained weights answers within 3 seconds."""
    try:
        socket.create_connection(("huggingface.co", 443), timeout=3).close()
    except OSError:
        return False
    return True


def save_figure(
    display: ClusterDisplay
    | EmbeddingMapDisplay
    | NeighborsDisplay
    | ReconstructionDisplay,
    path: Path,
) -> None:
    """Draw a display, save the figure to a file, and print its path."""
    display.plot().figure_.savefig(path, dpi=100)
    print(f"   Saved {path.resolve()}.")


if __name__ == "__main__":
    main()
