"""Trains either stage of DEMO; `demo_jax/train.py` has the command, `demo_jax/jobs/` what it puts together.

python train.py --config=configs/puppet_autoencoder.py --workdir=runs/puppet_ae --config.data.path=data/puppet
"""

from demo_jax.train import command

if __name__ == "__main__":
    command()
