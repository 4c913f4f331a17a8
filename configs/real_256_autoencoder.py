"""Stage 1 on prepared video at 256 px, for one GPU, from a model trained on puppets at 128 px.

python -m data_pipelines.prepare --videos FOLDER --out data/real
python train.py --config=configs/real_256_autoencoder.py --workdir=runs/real_ae --config.data.path=data/real \\
    --config.start_from=runs/puppet_ae

The model to start from is that of configs/puppet_gpu_autoencoder.py. Its parameters for pose and for rendering up to
64 px are taken over by name and shape. The crops of mouth and eyes are twice as large here, and the networks that read
them start from random parameters.

Time: not measured as a whole; 16 steps a second on an H200 beside other work, for 1,270 steps.

Scores: not measured.
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
            steps=5_000,
            log_every=50,
            model=AutoEncoderConfig(
                size=256,
                levels=((8, 128), (16, 96), (32, 64), (64, 40), (128, 24)),
                encoder_channels=(48, 64, 128, 160),
                lip_window=1,
            ),
            loss=Stage1LossConfig(lip_contrast=0.0, expression=20.0, cycle=0.1),
            augment=AugmentConfig(colour=0.15, shift=0.05, zoom=0.1),
            data=DataConfig(batch_size=24, set_batch_size=12, workers=8),  # paired groups are composites of two frames
            optimizer=OptimizerConfig(learning_rate=5e-4),
        )
    )
