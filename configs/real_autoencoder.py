"""Stage 1 on a folder of prepared video, briefly, at 64 px: what `make real` runs.

python -m data_pipelines.prepare --videos FOLDER --out data/real
python train.py --config=configs/real_autoencoder.py --workdir=runs/real_ae --config.data.path=data/real

About 20 minutes on one CPU core. With 11 minutes of video of 60 people, on held-out people: PSNR 27.5 dB (copying the
source 26.5), within mouth and eye boxes 25.7 (copying 24.2).
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
            steps=1_500,
            model=AutoEncoderConfig(size=64),
            loss=Stage1LossConfig(cycle=0.1),
            augment=AugmentConfig(colour=0.15, shift=0.05, zoom=0.1),
            data=DataConfig(batch_size=12, set_batch_size=6),  # sets are composites of two frames
            optimizer=OptimizerConfig(learning_rate=8e-4),
        )
    )
