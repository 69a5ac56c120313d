"""One folder of each kind of tiny pipeline, for all tests."""

import logging

import pytest
import tiny_text_pipelines as tiny

KINDS = {
    "sd": ("sd", "epsilon"),
    "sd_v": ("sd", "v_prediction"),
    "sd_x0": ("sd", "sample"),
    "sdxl": ("sdxl", "epsilon"),
    "sdxl_v": ("sdxl", "v_prediction"),
    "sd3": ("sd3", "flow"),
}


@pytest.fixture(scope="session")
def pipelines(tmp_path_factory):
    """The folder of the pipeline of each kind, by name; made when asked for."""
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    made = {}

    def folder(name):
        if name not in made:
            made[name] = tiny.save(tmp_path_factory.mktemp("pipelines") / name, *KINDS[name])
        return made[name]

    return folder
