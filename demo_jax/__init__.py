"""demo_jax: disentangled motion-latent flow matching for talking portraits.

    import demo_jax

    demo = demo_jax.load()  # the bundled puppet model, or demo_jax.load("runs/my_flow")
    demo.generate("portrait.png", "speech.wav", "out.mp4", controls=demo_jax.Controls.parse(hold="pose"))

`demo_jax.sampling.pipeline` documents the API. `import demo_jax` loads nothing heavy; JAX is imported when a name of
`__all__` is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from demo_jax.errors import InputError
    from demo_jax.sampling.controls import Controls
    from demo_jax.sampling.options import Options
    from demo_jax.sampling.pipeline import Pipeline, load
    from demo_jax.sampling.portraits import View

__version__ = "0.2.0"
__all__ = ["Controls", "InputError", "Options", "Pipeline", "View", "load"]


def __getattr__(name: str) -> Any:
    """Imports a public name on first use (PEP 562)."""
    match name:
        case "Controls":
            from demo_jax.sampling.controls import Controls

            return Controls
        case "InputError":
            from demo_jax.errors import InputError

            return InputError
        case "Options":
            from demo_jax.sampling.options import Options

            return Options
        case "Pipeline":
            from demo_jax.sampling.pipeline import Pipeline

            return Pipeline
        case "View":
            from demo_jax.sampling.portraits import View

            return View
        case "load":
            from demo_jax.sampling.pipeline import load

            return load
    raise AttributeError(f"module 'demo_jax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
