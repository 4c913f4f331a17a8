"""Stage 1 on the puppet corpus at 64 px: the first run of the bundled checkpoint's auto-encoder.

python -m data_pipelines.puppet --out data/puppet
python train.py --config=configs/puppet_autoencoder.py --workdir=runs/puppet_64 --config.data.path=data/puppet

The corpus has 128 px, which are averaged down; with --hours 0.5 --size 64 --people 60,10,20 it is built in minutes.
configs/puppet_encoder.py and configs/puppet_128_autoencoder.py continue from here. The decoder always gets the true
pose, gaze and lips, because the encoder knows nothing of them at first (docs/adr/0014).

Time: not measured for this run; all runs of puppet-v1 took about seven hours on two CPU cores, with other work running.

Scores: not measured; only the model of all runs was (configs/puppet_128_autoencoder.py).
"""

from demo_jax.config import (
    AutoEncoderConfig,
    DataConfig,
    OptimizerConfig,
    Stage1Config,
    Stage1LossConfig,
    as_config_dict,
)


def get_config():
    return as_config_dict(
        Stage1Config(
            steps=3_000,
            model=AutoEncoderConfig(size=64),
            data=DataConfig(batch_size=8, set_batch_size=6),
            loss=Stage1LossConfig(teacher_forcing=1.0, teacher_forcing_lips=1.0),
            optimizer=OptimizerConfig(learning_rate=8e-4),
        )
    )
