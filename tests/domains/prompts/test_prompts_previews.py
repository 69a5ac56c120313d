"""The linear map from latents to colours, against maps that are known and against loops over pixels."""

import pytest
import torch

from superdiff_engine.domains.prompts.previews import LatentMap, fit_preview, surroundings


def test_the_fit_recovers_a_map_of_blocks():
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(300, 4, 5, 6, generator=generator)
    truth = torch.randn(12, 45, generator=generator)
    pictures = LatentMap.of(truth.tolist(), 4)(latents)
    assert pictures.shape == (300, 3, 10, 12)
    assert torch.allclose(torch.tensor(fit_preview(latents, pictures)), truth, atol=2e-3)


def test_a_block_is_read_from_a_latent_its_neighbours_and_the_whole():
    latents = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(1))
    rows = torch.randn(12, 34, generator=torch.Generator().manual_seed(2))
    found = LatentMap.of(rows.tolist(), 3)(latents)
    for sample, row, column in ((0, 0, 0), (1, 2, 4), (1, 3, 1)):
        near = [
            latents[sample, channel, min(max(row + down, 0), 3), min(max(column + right, 0), 4)]
            for channel in range(3)
            for down in (-1, 0, 1)
            for right in (-1, 0, 1)
        ]
        flat = latents[sample].flatten(1)
        inputs = torch.cat([torch.stack(near), flat.mean(1), flat.std(1), torch.ones(1)])
        block = (rows @ inputs).view(3, 2, 2)
        assert torch.allclose(found[sample, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2], block, atol=1e-4)
    assert surroundings(latents).shape == (2, 33, 4, 5)


def test_a_latent_may_be_one_pixel():
    latents = torch.tensor([1.0, -2.0]).view(1, 2, 1, 1).expand(1, 2, 3, 3)
    found = LatentMap.of([[1, 0, 0.5], [0, 1, 0], [1, 1, 0]], 2)(latents)
    assert found.shape == (1, 3, 3, 3) and found[0, :, 1, 1].tolist() == [1.5, -2.0, -1.0]


@pytest.mark.parametrize("shape", [(3, 4), (6, 45), (0, 45), (12, 44), (12, 5)])
def test_numbers_that_do_not_fit_are_refused(shape):
    with pytest.raises(ValueError, match=r"3 rows of 5 numbers, or 3 b\^2 rows of 45"):
        LatentMap.of(torch.zeros(shape).tolist(), 4)
