"""Stage 1's motion encoder alone, on the puppet corpus: images to codes, without a decoder.

python train.py --config=configs/puppet_encoder.py --workdir=runs/puppet_encoder --config.data.path=data/puppet \\
    --config.start_from=runs/puppet_64

Between the run at 64 px and that at 128 px. A decoder renders well after a few hundred steps, but the encoder needs
some hundred thousand images to read the pose and gaze of an unknown person, and here it gets three to four times as
many different ones for the same arithmetic.

Time: not measured for this run; all runs of puppet-v1 took about seven hours on two CPU cores, with other work running.

Scores of puppet-v1's encoder, which had a longer history (demo_jax/assets/README.md): probe R² of the own factor 0.85
(lip), 0.93 (pose), 0.86 (gaze), 0.16 (residual). docs/results.md, "Disentanglement".
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
            # The losses need only the middle frame of each window: windows of one frame.
            model=AutoEncoderConfig(size=128, levels=((8, 96), (16, 64), (32, 32), (64, 24)), lip_window=1),
            data=DataConfig(batch_size=32, set_batch_size=8),
            loss=Stage1LossConfig(
                reconstruction=0.0, swap=0.0, cross_identity=0.0, landmarks=0.0, lip_contrast=0.0, expression=10.0
            ),
            augment=AugmentConfig(colour=0.15, shift=0.03, zoom=0.06),
            optimizer=OptimizerConfig(learning_rate=6e-4, ema_decay=0.995),
            freeze=("decoder", "source_encoder", "basis"),
        )
    )
