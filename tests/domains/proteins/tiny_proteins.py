"""Tiny protein models with random weights, and an ideal helix and a pair of strands to measure."""

import torch

from superdiff_engine.domains.proteins import frames, model, network

#: N, CA, C of an alpha helix, by cylinder coordinates (radius in Angstrom, degrees, rise in Angstrom).
HELIX = {"N": (1.54, -27.7, -0.9), "CA": (2.28, 0.0, 0.0), "C": (1.66, 26.1, 1.12)}


def helix(residues):
    """Atoms N, CA, C of an alpha helix, [residues, 3, 3] in Angstrom: 100 degrees and 1.5 Angstrom a residue."""
    atoms = []
    for radius, degrees, rise in HELIX.values():
        angle = torch.deg2rad(degrees + 100.0 * torch.arange(residues, dtype=torch.float64))
        height = rise + 1.5 * torch.arange(residues, dtype=torch.float64)
        atoms.append(torch.stack([radius * angle.cos(), radius * angle.sin(), height], -1))
    return torch.stack(atoms, 1).float()


def whole_helix(residues):
    """The same with O, float32 array [residues, 4, 3]."""
    return frames.backbone_of(*frames.frames_of(helix(residues))).numpy()


def small_network(seed=0):
    torch.manual_seed(seed)
    built = network.ProteinNetwork(width=32, pair=8, layers=2, heads=2, points=2)
    for value in built.parameters():
        value.data += 0.1 * torch.randn_like(value)
    return built.eval().requires_grad_(False)


def save_tiny(folder, title, seed):
    net = small_network(seed)
    settings = model.ProteinSettings(title=title, description="for tests", network=net.settings, lengths={40: 1, 44: 3})
    model.save_model(folder, net, settings)
