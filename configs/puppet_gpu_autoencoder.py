"""Stage 1 on puppets at 128 px, for one GPU: everything at once from nothing, then the decoder alone.

python -m data_pipelines.puppet --out data/many --people 2400,20,50 --hours 4 --set-share 0.4 --set-frames 8
python train.py --config=configs/puppet_gpu_autoencoder.py --workdir=runs/puppet_both --config.data.path=data/many
python train.py --config=configs/puppet_gpu_autoencoder.py:decoder --workdir=runs/puppet_ae \\
    --config.data.path=data/many --config.start_from=runs/puppet_both

The second run freezes the encoder, so that its codes stay valid: meanwhile the corpus can be encoded
(data_pipelines.encode with runs/puppet_both) and stage 2 trained. demo_jax.checkpoint.publish.export_model(flow_run,
out, autoencoder=runs/puppet_ae) joins the two. The network is larger than that of the bundled checkpoint, which two CPU
cores trained: 6.2 million parameters and 1.3 GFLOP a frame. Reasons: docs/adr/0019.

The middle frame of a window is enough here, and such a step waits for reading images: windows have one frame.

Time: 9,000 steps in eight minutes on one H200, compilation included; both runs about 20 minutes.

Scores on single training batches: PSNR 32.6 dB, 31.7 dB with one factor swapped, 34.7 dB on another person after 8,950
steps; 35.2 and 33.0 dB after 7,063 further steps of the decoder. On held-out people: not measured. docs/results.md,
"Many people on one GPU".
"""

import dataclasses

from demo_jax.config import (
    AugmentConfig,
    AutoEncoderConfig,
    DataConfig,
    OptimizerConfig,
    Stage1Config,
    Stage1LossConfig,
    as_config_dict,
)
from demo_jax.errors import InputError

MODEL = AutoEncoderConfig(
    size=128,
    levels=((8, 128), (16, 96), (32, 64), (64, 40)),
    encoder_channels=(48, 64, 128, 160),
    lip_window=1,
)


def get_config(part: str = "both"):
    if part not in ("both", "decoder"):
        raise InputError(f"puppet_gpu_autoencoder has the parts both and decoder, not {part!r}.")
    both = part == "both"
    loss = Stage1LossConfig(teacher_forcing_lips=0.5, lip_contrast=0.0, expression=20.0)
    if not both:  # codes that do not change need no losses
        loss = dataclasses.replace(
            loss,
            supervision=0.0,
            expression=0.0,
            gaze_contrast=0.0,
            consistency=0.0,
            identity=0.0,
            cross_covariance=0.0,
            cosine=0.0,
        )
    return as_config_dict(
        Stage1Config(
            steps=9_000 if both else 14_000,
            log_every=50,
            eval_every=1_000,
            save_every=1_000,
            model=MODEL,
            loss=loss,
            data=DataConfig(batch_size=64, set_batch_size=32, workers=14),
            augment=AugmentConfig(colour=0.15, shift=0.03, zoom=0.06) if both else AugmentConfig(),
            optimizer=OptimizerConfig(learning_rate=8e-4 if both else 6e-4),
            freeze=() if both else ("motion_encoder",),
        )
    )
