"""Tests of folding batch normalisation into convolutions."""

import pytest

from imgsim.embedding.pretrained._batch_norm_folding import fold_batch_norms

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")


def _trained_looking(module):
    """Give batch norms statistics that matter, as training would."""
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
    ("name", "n_left"), [("resnet18", 0), ("mobilenetv2_100", 0), ("densenet121", 62)]
)
def test_the_output_is_the_same_with_fewer_layers(name, n_left):
    """A densenet has norms that follow no convolution; they stay."""
    module = _trained_looking(timm.create_model(name, num_classes=0))
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))

    folded = fold_batch_norms(module, pixels[:1])

    assert _n_norms(folded) == n_left < _n_norms(module)
    with torch.inference_mode():
        torch.testing.assert_close(folded(pixels), module(pixels), rtol=1e-3, atol=1e-4)


def test_a_network_without_batch_norms_is_left_alone():
    """Nor is anything computed."""
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


def test_a_convolution_with_another_use_is_not_folded():
    """The other use would see what the norm makes of it."""
    module = _trained_looking(_UsesConvolutionTwice())

    assert fold_batch_norms(module, torch.rand(1, 3, 8, 8)) is module


def test_a_convolution_called_twice_is_not_folded():
    """Its second call may have no norm behind it."""
    conv = torch.nn.Conv2d(3, 3, 3)
    module = torch.nn.Sequential(conv, torch.nn.BatchNorm2d(3), conv)

    folded = fold_batch_norms(_trained_looking(module), torch.rand(1, 3, 9, 9))

    assert _n_norms(folded) == 1
