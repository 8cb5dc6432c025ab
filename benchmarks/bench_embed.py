"""Images per second from JPEG files to embeddings, at 224 pixels, on a CPU or a GPU.

All methods run once in each of several rounds, and the medians are compared: unlike
single times, their ratios are stable on a busy machine. The weights are untrained,
which does not affect the time.

(a) a simple loop: Pillow, one image per forward pass, float32
(b) Pillow with one thread per core, ToTensor and Normalize, batches of 64, float32
(c) the forward passes of ImageEmbedder alone, for pixels in memory: the upper bound

BENCH_EMBED_DEVICE=cuda measures a GPU. OpenVINO is included if it is installed.
"""

import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from imgsim import ColorHistogramEmbedder, EmbeddingCache, ImageEmbedder
from imgsim.images import ImageStream

DEVICE = os.environ.get("BENCH_EMBED_DEVICE", "cpu")
N_ROUNDS = 5
N_IMAGES = {"resnet50": 64, "mobilenetv2_100": 192}


def _timm_model_and_transform(name):
    model = timm.create_model(name, num_classes=0).eval().to(DEVICE)
    config = timm.data.resolve_model_data_config(model)
    return model, timm.data.create_transform(**config)


def _notebook_loop(name):
    model, transform = _timm_model_and_transform(name)

    @torch.inference_mode()
    def embed(paths):
        images = (transform(Image.open(path).convert("RGB"))[None] for path in paths)
        return np.vstack([model(image.to(DEVICE)).cpu().numpy() for image in images])

    return embed


def _batched_loop(name, batch_size=64):
    model, transform = _timm_model_and_transform(name)

    @torch.inference_mode()
    def embed(paths):
        def load(path):
            return transform(Image.open(path).convert("RGB"))

        rows = []
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for start in range(0, len(paths), batch_size):
                images = pool.map(load, paths[start : start + batch_size])
                rows.append(model(torch.stack(list(images)).to(DEVICE)).cpu().numpy())
        return np.vstack(rows)

    return embed


def _embedder(name, **kwargs):
    return ImageEmbedder(name, pretrained=False, device=DEVICE, **kwargs).fit()


def _forward_alone(embedder, paths):
    read, transform = embedder._image_loader(), embedder._image_transform()
    ready = [transform(read(path)) for path in paths]
    size = embedder.batch_size

    def embed(paths):
        with embedder._open_executor() as executor:
            batches = (ready[i : i + size] for i in range(0, len(ready), size))
            futures = [future for batch in batches for future in executor.submit(batch)]
            return np.vstack([future.result() for future in futures])

    return embed


def _decoding_alone(embedder):
    def decode(paths):
        stream = ImageStream(
            paths,
            loader=embedder._image_loader(),
            transform=embedder._image_transform(),
        )
        return [image for batch in stream for image in batch.images]

    return decode


def _openvino(name, paths, embedder):
    """Return the forward passes of OpenVINO, in float32, for pixels in memory."""
    import openvino

    model, transform = _timm_model_and_transform(name)
    ready = [transform(Image.open(path).convert("RGB"))[None].numpy() for path in paths]
    converted = openvino.convert_model(
        model.cpu(), example_input=torch.from_numpy(ready[0])
    )
    converted.reshape([1, *ready[0].shape[1:]])
    hints = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(converted, "CPU", hints)

    def embed(paths):
        queue = openvino.AsyncInferQueue(compiled)
        for image in ready:
            queue.start_async({0: image})
        queue.wait_all()
        return ready

    return embed


def _images_per_second(methods, paths, n_rounds=N_ROUNDS):
    """Return the median speed of each method over the rounds."""
    speeds = {name: [] for name in methods}
    for name, embed in methods.items():
        assert len(embed(paths)) == len(paths), name  # also warms up
    for _ in range(n_rounds):
        for name, embed in methods.items():
            start = time.perf_counter()
            embed(paths)
            speeds[name].append(len(paths) / (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in speeds.items()}


def _show(title, speeds, ratios):
    print(f"\n{title}, {DEVICE}, {torch.get_num_threads()} threads")
    for name, speed in speeds.items():
        print(f"  {name:<42} {speed:9.1f} images/s")
    for ours, theirs in ratios:
        print(f"  {ours} / {theirs}: {speeds[ours] / speeds[theirs]:.2f}")


@pytest.mark.parametrize("name", N_IMAGES)
def bench_throughput(photographs, name):
    """Compare the speed from files to embeddings with (a), (b) and (c)."""
    paths = photographs[: N_IMAGES[name]]
    exact, auto = _embedder(name), _embedder(name, precision="auto")
    methods = {
        "(a) one by one": _notebook_loop(name),
        "(b) threads, batches of 64": _batched_loop(name),
        "(c) forward alone, float32": _forward_alone(exact, paths),
        "(c) forward alone, auto": _forward_alone(auto, paths),
        "ImageEmbedder, float32": exact.transform,
        "ImageEmbedder, auto": auto.transform,
        "decoding alone": _decoding_alone(exact),
    }

    speeds = _images_per_second(methods, paths)

    ours = ("ImageEmbedder, auto", "ImageEmbedder, float32")
    baselines = ("(a) one by one", "(b) threads, batches of 64")
    _show(
        name,
        speeds,
        [(way, base) for way in ours for base in baselines]
        + [
            (f"ImageEmbedder, {p}", f"(c) forward alone, {p}")
            for p in ("auto", "float32")
        ],
    )


@pytest.mark.parametrize("name", N_IMAGES)
def bench_forward(photographs, name):
    """Compare the upper bound (c) with compiled versions of the same network."""
    paths = photographs[: N_IMAGES[name]]
    exact, compiled = _embedder(name), _embedder(name, compile=True)
    methods = {
        "(c) forward alone, float32": _forward_alone(exact, paths),
        "torch.compile, float32": _forward_alone(compiled, paths),
    }
    if DEVICE == "cpu" and find_spec("openvino"):
        methods["OpenVINO, float32"] = _openvino(name, paths, exact)

    speeds = _images_per_second(methods, paths)

    _show(
        name, speeds, [("(c) forward alone, float32", name) for name in [*methods][1:]]
    )


def bench_cache(photographs, tmp_path):
    """Compare a second run on unchanged files, which uses the cache, with the first."""
    paths = photographs[:64]
    time.sleep(2)  # the times of a file are not trusted for two seconds
    cache = EmbeddingCache(tmp_path / "rows.sqlite")
    cached = _embedder("resnet50", precision="auto", cache=cache)
    methods = {
        "ImageEmbedder, auto": _embedder("resnet50", precision="auto").transform,
        "the same from its cache": cached.transform,
    }

    speeds = _images_per_second(methods, paths)

    _show("resnet50", speeds, [("the same from its cache", "ImageEmbedder, auto")])


def bench_color_histogram(photographs):
    """Measure the speed of an embedder without a network."""
    speeds = _images_per_second(
        {"ColorHistogramEmbedder": ColorHistogramEmbedder().transform}, photographs
    )

    _show("color histograms", speeds, [])


def bench_precision(monkeypatch):
    """Compare the neighbors in bfloat16 with those in float32, for photographs."""
    data = os.environ.get("IMGSIM_TEST_DATA")
    if not data:
        pytest.skip("IMGSIM_TEST_DATA is unset: no photographs and weights")
    from imgsim import SimilarityIndex, load_image_folder
    from imgsim.embedding import clear_models
    from imgsim.embedding.pretrained import _timm_backbone
    from imgsim.metrics import average_precision_at_k, precision_at_k

    folder = load_image_folder(f"{data}/data/animals")
    embedder = partial(
        ImageEmbedder,
        "mobilenetv2_100",
        checkpoint_path=f"{data}/weights/mobilenetv2_100_tf_in1k.safetensors",
        model_kwargs={"pad_type": "same"},
        mean=0.5,
        std=0.5,
        device=DEVICE,
    )

    def round_to_nearest(module, dtype):
        for part in module.modules():
            if isinstance(part, torch.nn.Conv2d | torch.nn.Linear):
                part.weight.data = part.weight.data.to(dtype)

    def neighbors(X):
        return SimilarityIndex().fit(X).kneighbors(n_neighbors=len(X) - 1)[1]

    found = {"float32": neighbors(embedder().fit_transform(folder.paths))}
    found["float32, decoder='pillow'"] = neighbors(
        embedder(decoder="pillow").fit_transform(folder.paths)
    )
    found["bfloat16"] = neighbors(
        embedder(precision="bfloat16").fit_transform(folder.paths)
    )
    clear_models()
    monkeypatch.setattr(_timm_backbone, "round_weights", round_to_nearest)
    found["bfloat16, weights rounded to nearest"] = neighbors(
        embedder(precision="bfloat16").fit_transform(folder.paths)
    )
    clear_models()

    print(f"\n{'':40} top-10 overlap    mAP   precision at 5")
    for name, indices in found.items():
        pairs = zip(indices[:, :10], found["float32"][:, :10], strict=True)
        overlap = np.mean([len(set(a) & set(b)) / 10 for a, b in pairs])
        relevance = folder.target[indices] == folder.target[:, None]
        mean_ap = average_precision_at_k(relevance, relevance.sum(axis=1))
        precision = precision_at_k(relevance, k=5)
        print(f"{name:40} {overlap:14.3f} {mean_ap:6.4f} {precision:16.4f}")
