"""Trains either stage of DEMO; the command is in `demo_jax/train.py`, the assembly of a stage in `demo_jax/jobs/`.

python train.py --config=configs/puppet_autoencoder.py --workdir=runs/puppet_ae --config.data.path=data/puppet
"""

from demo_jax.train import command

if __name__ == "__main__":
    command()
