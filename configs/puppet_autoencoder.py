"""Stage 1 on the puppet corpus at 64 px: the auto-encoder of the bundled checkpoint.

python -m data_pipelines.puppet --out data/puppet
python train.py --config=configs/puppet_autoencoder.py --workdir=runs/puppet_ae --config.data.path=data/puppet

The corpus is of 128 px, which is averaged down; with --hours 0.5 --size 64 --people 60,10,20 it is built in minutes.
configs/puppet_128_autoencoder.py goes on from here.
"""

from demo_jax.config import AutoEncoderConfig, DataConfig, OptimizerConfig, Stage1Config, as_config_dict


def get_config():
    return as_config_dict(
        Stage1Config(
            steps=4_000,
            model=AutoEncoderConfig(size=64),
            data=DataConfig(batch_size=8, set_batch_size=6),
            optimizer=OptimizerConfig(learning_rate=8e-4),
        )
    )
