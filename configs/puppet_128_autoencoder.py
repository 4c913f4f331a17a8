"""Stage 1 on the puppet corpus at 128 px: at most 8 M parameters, and 1.5 GFLOP a decoded frame, so that two CPU cores
decode at 25 frames a second.

python -m data_pipelines.puppet --out data/puppet
python train.py --config=configs/puppet_128_autoencoder.py --workdir=runs/puppet_128 --config.data.path=data/puppet
"""

from demo_jax.config import AutoEncoderConfig, DataConfig, OptimizerConfig, Stage1Config, as_config_dict


def get_config():
    return as_config_dict(
        Stage1Config(
            steps=40_000,
            eval_every=1_000,
            save_every=500,
            model=AutoEncoderConfig(
                size=128,
                levels=((8, 176), (16, 120), (32, 68), (64, 40)),
                latent=192,
                head_flow=True,
                style_width=256,
                encoder_channels=(24, 48, 72, 112, 160),
                encoder_width=384,
            ),
            data=DataConfig(batch_size=16, set_batch_size=16),
            optimizer=OptimizerConfig(learning_rate=5e-4, warmup_steps=500),
        )
    )
