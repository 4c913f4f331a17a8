"""Makes a talking video of a portrait and a recording; the command is in `demo_jax/sample.py`.

python sample.py --portrait demo_jax/assets/portrait.png --audio demo_jax/assets/speech.wav --out out/demo.mp4
"""

from demo_jax.sample import main

if __name__ == "__main__":
    raise SystemExit(main())
