"""What is said where MediaPipe, OpenCV or a system library of theirs is missing. The libraries are hidden from the
loader: a module that raises what the dynamic linker makes of a missing file stands before the installed one."""

import ctypes
import sys

import numpy as np
import pytest
from PIL import Image

from data_pipelines import prepare
from demo_jax.errors import InputError
from demo_jax.faces.landmarker import FaceFinder
from demo_jax.faces.portrait import find_portrait
from demo_jax.sampling import portraits

pytest.importorskip("mediapipe")
PACKAGES = r"apt-get install libgl1 libegl1 libgles2 libglib2\.0-0 libxcb1 libx11-6\.$"


def linker_error(name: str) -> OSError:
    """What loading a shared library that is not there raises, in the linker's own words."""
    with pytest.raises(OSError, match=name) as caught:
        ctypes.CDLL(name)
    return caught.value


@pytest.fixture(params=["libGL.so.1", "libEGL.so.1"])
def hidden(request, monkeypatch, tmp_path):
    """The name of a library of OpenCV's, whose import fails, or of MediaPipe's, which is loaded at the first use."""
    missing = request.param.replace(".so", "-hidden.so")  # no machine has it, so the linker's words are true
    words = str(linker_error(missing))
    if request.param == "libGL.so.1":
        (tmp_path / "stub").mkdir()
        (tmp_path / "stub/cv2.py").write_text(f"raise ImportError({words!r})\n")
        for name in [m for m in sys.modules if m.partition(".")[0] in ("cv2", "mediapipe")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.syspath_prepend(tmp_path / "stub")
    else:
        from mediapipe.tasks.python.core import mediapipe_c_bindings

        load = ctypes.CDLL
        monkeypatch.setattr(mediapipe_c_bindings, "_shared_lib", None)
        monkeypatch.setattr(
            mediapipe_c_bindings.ctypes, "CDLL",
            lambda name, *more, **options: load(missing if "mediapipe" in str(name) else name, *more, **options),
        )  # fmt: skip
    return missing


def test_a_missing_system_library_is_named_with_the_packages(hidden):
    with pytest.raises(InputError, match=rf"{hidden}: cannot open shared object file.*{PACKAGES}") as caught:
        FaceFinder()
    assert "pip install" not in str(caught.value) and "\n" not in str(caught.value)


def test_photographs_and_prepare_refuse_in_one_sentence(hidden, tmp_path, capfd):
    Image.new("RGB", (64, 64)).save(tmp_path / "photo.png")
    with pytest.raises(InputError, match=hidden):
        portraits.read_portrait(tmp_path / "photo.png", 32)
    for i in range(2):
        (tmp_path / f"{i}.mp4").write_bytes(b"never opened")
    videos = [str(tmp_path / f"{i}.mp4") for i in range(2)]
    assert prepare.main(["--videos", *videos, "--out", str(tmp_path / "out")]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("error: ") and hidden in line and "apt-get install" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["mediapipe", "cv2"])
def test_pip_is_named_only_where_a_package_is_missing(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=rf"{name}.*pip install 'demo_jax\[prepare\]'") as caught:
        find_portrait(np.zeros((64, 64, 3), np.uint8), 32)
    assert "apt-get" not in str(caught.value)
