"""Stage 1 on the puppet corpus at 128 px: the auto-encoder of the bundled checkpoint.

python train.py --config=configs/puppet_128_autoencoder.py --workdir=runs/puppet_128 --config.data.path=data/puppet \\
    --config.start_from=runs/puppet_ae

It begins with the parameters of a run of configs/puppet_autoencoder.py: a step at 64 px costs a third of one at 128 px,
and all but the finest level is learned there. The motion encoder goes on looking at 64 px and is held, so that codes
made with the smaller model stay those of the larger one. To train from nothing, leave start_from away and give
--config.freeze='()'.
"""

from demo_jax.config import AutoEncoderConfig, DataConfig, OptimizerConfig, Stage1Config, as_config_dict


def get_config():
    return as_config_dict(
        Stage1Config(
            steps=4_000,
            model=AutoEncoderConfig(size=128, levels=((8, 96), (16, 64), (32, 32), (64, 24))),
            data=DataConfig(batch_size=8, set_batch_size=6),
            optimizer=OptimizerConfig(learning_rate=8e-4),
            freeze=("motion_encoder",),
        )
    )
