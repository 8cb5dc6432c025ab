"""Tests of folding batch norms into convolutions."""

import pytest

from imgsim.embedding.pretrained._batch_norm_folding import fold_batch_norms

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")


def _with_statistics(module):
    """Give batch norms random statistics, as if the network was trained."""
    random = torch.Generator().manual_seed(0)
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            shape = part.running_mean.shape
            part.running_mean.copy_(torch.rand(shape, generator=random) - 0.5)
            part.running_var.copy_(torch.rand(shape, generator=random) + 0.5)
    return module.eval()


def _n_norms(module):
    return sum(isinstance(part, torch.nn.BatchNorm2d) for part in module.modules())


@pytest.mark.parametrize(
    ("name", "kwargs", "n_left"),
    [
        ("test_resnet", {}, 0),
        ("test_efficientnet", {}, 0),
        ("densenet121", {"block_config": (2, 2), "growth_rate": 8}, 6),
    ],
)
def test_the_output_is_the_same_with_fewer_layers(name, kwargs, n_left):
    """The batch norms of a densenet that do not follow a convolution are kept."""
    module = _with_statistics(timm.create_model(name, num_classes=0, **kwargs))
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))

    folded = fold_batch_norms(module, pixels[:1])

    assert _n_norms(folded) == n_left < _n_norms(module)
    with torch.inference_mode():
        torch.testing.assert_close(folded(pixels), module(pixels), rtol=1e-3, atol=1e-4)


def test_a_network_without_batch_norms_is_not_changed():
    """It is returned without a forward pass."""
    module = torch.nn.Conv2d(3, 4, 3)

    assert fold_batch_norms(module, None) is module


class _UsesConvolutionTwice(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)
        self.norm = torch.nn.BatchNorm2d(4)

    def forward(self, x):
        x = self.conv(x)
        return self.norm(x) + x


def test_a_convolution_whose_output_is_used_twice_is_not_folded():
    """The second use requires the output before the batch norm."""
    module = _with_statistics(_UsesConvolutionTwice())

    assert fold_batch_norms(module, torch.rand(1, 3, 8, 8)) is module


def test_a_convolution_that_is_called_twice_is_not_folded():
    """Its second call may not be followed by a batch norm."""
    conv = torch.nn.Conv2d(3, 3, 3)
    module = torch.nn.Sequential(conv, torch.nn.BatchNorm2d(3), conv)

    folded = fold_batch_norms(_with_statistics(module), torch.rand(1, 3, 9, 9))

    assert _n_norms(folded) == 1
