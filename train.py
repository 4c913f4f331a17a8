"""Trains either stage of DEMO; `demo_jax/train.py` has the command, `demo_jax/jobs/` what it puts together.

python train.py --config=configs/puppet_autoencoder.py --workdir=runs/puppet_ae --config.data.path=data/puppet
"""

from absl import app

from demo_jax.train import main, parse

if __name__ == "__main__":
    app.run(main, flags_parser=parse)
