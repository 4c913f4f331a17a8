"""Stage 1 on a folder of prepared video at 128 px, from the bundled puppet model: what `make real` runs.

python -m data_pipelines.prepare --videos FOLDER --out data/real
python train.py --config=configs/real_autoencoder.py --workdir=runs/real_ae --config.data.path=data/real

Turning heads and moving lips were learned on puppets; this run learns what people look like.

Time: about half an hour on two CPU cores; 74 minutes on one shared core.

Scores with 9.6 minutes of video, on 19 clips of people not in it: PSNR of the frame 27.7 dB (copying the source: 23.5),
of the face 26.0 dB (20.9), of the mouth 25.6 dB (20.7), SSIM 0.860 (0.724); gain of yaw 0.80. docs/results.md, "Real
video".
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
            data=DataConfig(batch_size=12, set_batch_size=6),  # paired groups are composites of two frames
            optimizer=OptimizerConfig(learning_rate=5e-4, warmup_steps=50, ema_decay=0.99),
            start_from="puppet-v1",
        )
    )
