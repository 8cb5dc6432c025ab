"""Damaged and hostile files of weights."""

import io
from argparse import Namespace
from contextlib import suppress
from pathlib import Path

import timm
import torch
from messages import check_message
from mutation import mutate_bytes
from safetensors.torch import save

from imgsim.embedding.pretrained._weights_file import load_weights


class WeightsTarget:
    """Files of weights in all formats that `checkpoint_path` accepts."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.module = timm.create_model("test_resnet", num_classes=0)
        self.state = dict(self.module.state_dict())
        self.valid_files = list(self._make_files(self.state))

    def run_valid_files(self):
        """Check that each valid file is accepted."""
        for suffix, content in self.valid_files:
            self._check(suffix, content, is_valid=True)

    def run(self, rng):
        """Check a file that is damaged at random."""
        if rng.random() < 0.4:
            files = list(self._make_files(self._mutate_state(rng)))
            suffix, content = files[rng.integers(len(files))]
            self._check(suffix, content)
        else:
            suffix, content = self.valid_files[rng.integers(len(self.valid_files))]
            others = [content for _, content in self.valid_files]
            self._check(suffix, mutate_bytes(rng, content, others))

    def _check(self, suffix, content, *, is_valid=False):
        path = self.folder / f"weights{suffix}"
        path.write_bytes(content)
        try:
            load_weights(self.module, str(path), model="test_resnet")
        except ValueError as error:
            if is_valid:
                raise
            check_message(error, path)

    def _make_files(self, state):
        with suppress(Exception):  # safetensors cannot store every kind of tensor
            yield ".safetensors", save(state)
        training = {
            "epoch": 3,
            "arch": "test_resnet",
            "args": Namespace(lr=0.1),
            "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]},
            "state_dict": {f"module.{name}": value for name, value in state.items()},
        }
        for saved in (state, training):
            for is_zip in (True, False):
                file = io.BytesIO()
                with suppress(Exception):
                    torch.save(saved, file, _use_new_zipfile_serialization=is_zip)
                    yield ".pt", file.getvalue()

    def _mutate_state(self, rng):
        """Rename, remove, replace or add a tensor."""
        state = {name: value.clone() for name, value in self.state.items()}
        name = list(state)[rng.integers(len(state))]
        tensor = state.pop(name)
        changes = (
            lambda: {},
            lambda: {name.replace(".", ""): tensor},
            lambda: {name: tensor.flatten()[:0]},
            lambda: {name: tensor.to(torch.complex64)},
            lambda: {name: tensor.to(torch.int64)},
            lambda: {name: tensor.to("meta")},
            lambda: {name: tensor.to_sparse()},
            lambda: {name: torch.nn.Parameter(tensor.float())},
            lambda: {name: tensor[None]},
            lambda: {name: tensor, "": tensor},
            lambda: {name: tensor, ".": tensor},
            lambda: {name: tensor, f"{name}.{name}": tensor},
            lambda: {name: [tensor]},
            lambda: {name: tensor, 7: tensor},
        )
        changed = state | changes[rng.integers(len(changes))]()
        if rng.random() < 0.3:
            n_kept = int(rng.integers(0, 4))
            changed = dict(list(changed.items())[-n_kept:] if n_kept else [])
        if rng.random() < 0.2:
            prefix = ("module.", "a", "..", "model.model.")[rng.integers(4)]
            changed = {f"{prefix}{key}": value for key, value in changed.items()}
        return changed
