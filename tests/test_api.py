"""The documented API: `import demo_jax` costs nothing, and its names come when they are used."""

from pathlib import Path

import pytest
from process_utils import run_code

import demo_jax
from demo_jax.errors import InputError
from demo_jax.sampling import controls, options, pipeline, portraits

ROOT = Path(__file__).resolve().parents[1]


def test_importing_the_package_loads_no_jax():
    code = (
        "import sys, demo_jax\n"
        "assert set(demo_jax.__all__) <= set(dir(demo_jax)) and demo_jax.__version__\n"
        "heavy = {'jax', 'flax', 'numpy', 'cv2', 'mediapipe', 'demo_jax.sampling'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "from demo_jax import Controls, Options, load\n"
        "assert 'jax' in sys.modules and callable(load)"
    )
    assert run_code(code) == ""


def test_the_names_are_those_of_the_modules():
    found = {name: getattr(demo_jax, name) for name in demo_jax.__all__}
    assert found == {
        "Controls": controls.Controls,
        "InputError": InputError,
        "Options": options.Options,
        "Pipeline": pipeline.Pipeline,
        "View": portraits.View,
        "load": pipeline.load,
    }


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="module 'demo_jax' has no attribute 'train_everything'"):
        demo_jax.train_everything  # noqa: B018


def test_the_version_is_that_of_the_project_file():
    assert f'\nversion = "{demo_jax.__version__}"\n' in (ROOT / "pyproject.toml").read_text()


def test_load_gives_the_bundled_model():
    demo = demo_jax.load()
    assert isinstance(demo, demo_jax.Pipeline) and demo.size > 0
    with pytest.raises(demo_jax.InputError):
        demo_jax.load(ROOT / "tests")
