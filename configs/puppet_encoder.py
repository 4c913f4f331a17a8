"""Stage 1's motion encoder by itself, on the puppet corpus: pictures to codes, with no decoder to wait for.

python train.py --config=configs/puppet_encoder.py --workdir=runs/puppet_encoder --config.data.path=data/puppet \\
    --config.start_from=runs/puppet_64

Between the run at 64 px and that at 128 px. Drawing is learned faster than seeing: where a decoder draws well after a
few hundred steps, the encoder needs some hundred thousand pictures to read a stranger's pose and gaze, and here it sees
three to four times as many different ones for the same arithmetic.
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
            steps=3_000,
            # Of the middle frame of each window nothing but its truth is asked: windows of one frame.
            model=AutoEncoderConfig(size=128, levels=((8, 96), (16, 64), (32, 32), (64, 24)), lip_window=1),
            data=DataConfig(batch_size=32, set_batch_size=8),
            loss=Stage1LossConfig(reconstruction=0.0, swap=0.0, cross_identity=0.0, lip_contrast=0.0, expression=10.0),
            augment=AugmentConfig(colour=0.15, shift=0.03, zoom=0.06),
            optimizer=OptimizerConfig(learning_rate=6e-4, ema_decay=0.995),
            freeze=("decoder", "source_encoder", "basis"),
        )
    )
