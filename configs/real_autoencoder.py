"""Stage 1 on a folder of prepared video at 128 px, from the bundled puppet model: what `make real` runs.

python -m data_pipelines.prepare --videos FOLDER --out data/real
python train.py --config=configs/real_autoencoder.py --workdir=runs/real_ae --config.data.path=data/real

About half an hour on two CPU cores. Heads that turn and lips that move were learned on puppets; what is learned here is
what people look like. With 9.6 minutes of video of 60 people, on held-out people after 700 steps:
benchmarks/results/2026-11-26-real-128.json.
"""

from demo_jax.config import (
    AugmentConfig,
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
            steps=700,
            model=AutoEncoderConfig(size=128, levels=((8, 96), (16, 64), (32, 32), (64, 24)), lip_window=1),
            loss=Stage1LossConfig(lip_contrast=0.0, expression=20.0, cycle=0.1),
            augment=AugmentConfig(colour=0.15, shift=0.05, zoom=0.1),
            data=DataConfig(batch_size=12, set_batch_size=6),  # sets are composites of two frames
            optimizer=OptimizerConfig(learning_rate=5e-4, warmup_steps=50, ema_decay=0.99),
            start_from="puppet-v1",
        )
    )
