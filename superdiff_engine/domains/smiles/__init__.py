"""Molecules as text: SMILES from prompts by LDMol, a diffusion in the latent space of a molecule's autoencoder."""
