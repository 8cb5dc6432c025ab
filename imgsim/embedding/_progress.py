"""A bar that tells how a long run goes."""

from collections.abc import Iterator

from imgsim.images import ImageBatch


def with_progress(
    batches: Iterator[ImageBatch], n_images: int, name: str
) -> Iterator[ImageBatch]:
    """Yield the batches, and show images a second, time left, failures and hits."""
    from tqdm.auto import tqdm

    n_failed = n_cached = 0
    with tqdm(total=n_images, desc=name, unit=" images") as bar:
        for batch in batches:
            yield batch
            n_failed += len(batch.failures)
            n_cached += sum(image.row is not None for image in batch.images)
            bar.set_postfix(failed=n_failed, cached=n_cached, refresh=False)
            bar.update(len(batch.images) + len(batch.failures))
