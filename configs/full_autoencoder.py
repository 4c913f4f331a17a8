"""Stage 1 at full size, for GPUs and TPUs: 512 px, D = 512.

python train.py --config=configs/full_autoencoder.py --workdir=runs/full_ae --config.data.path=CORPUS

Time: not measured; never trained. It has been compiled for up to 256 devices (docs/scale.md). One step of one image and
one paired group takes 15.0 s and at most 11.9 GiB in float32 on two idle CPU cores.

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
            steps=300_000,
            eval_every=5_000,
            save_every=2_500,
            model=AutoEncoderConfig(
                size=512,
                levels=((8, 512), (16, 320), (32, 192), (64, 128), (128, 64), (256, 24)),
                latent=512,
                style_width=512,
                encoder_size=512,
                encoder_channels=(24, 64, 128, 192, 256, 384, 512),
                encoder_width=1024,
                projection=128,
                dtype="bfloat16",
            ),
            loss=Stage1LossConfig(cycle=0.1),
            augment=AugmentConfig(colour=0.15, shift=0.05, zoom=0.1),
            data=DataConfig(batch_size=128, set_batch_size=32, workers=16),  # paired groups are composites
            optimizer=OptimizerConfig(learning_rate=2e-4, warmup_steps=2_000, ema_decay=0.9999),
        )
    )
