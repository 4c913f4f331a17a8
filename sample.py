"""Makes a talking video of one portrait and one recording; `demo_jax/sample.py` has the command.

python sample.py --portrait demo_jax/assets/portrait.png --audio demo_jax/assets/speech.wav --out out/demo.mp4
"""

from demo_jax.sample import main

if __name__ == "__main__":
    raise SystemExit(main())
