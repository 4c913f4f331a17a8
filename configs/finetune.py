"""Fine-tuning of a published model on minutes of one speaker, on one GPU or two CPU cores: first the auto-encoder (how
the speaker looks), then the flow (how the speaker moves).

python -m data_pipelines.prepare --videos me/ --out data/me --split train
python -m data_pipelines.prepare --videos me_held_out.mp4 --out data/me --split val
python train.py --config=configs/finetune.py:autoencoder --workdir=runs/me_ae --config.data.path=data/me
python -m data_pipelines.encode --autoencoder runs/me_ae --data data/me --out data/me_codes
python train.py --config=configs/finetune.py:flow --workdir=runs/me --config.data.path=data/me_codes \\
    --config.autoencoder=runs/me_ae
python sample.py --checkpoint runs/me --portrait me.png --audio speech.wav --out me.mp4

The model is the bundled one, or the one named after a comma: configs/finetune.py:autoencoder,runs/real. Its networks
keep their sizes. All parameters are trained; --config.low_rank=8 trains changes of that rank to the kernels instead, a
seventh as many numbers in puppet-v1's auto-encoder and an eleventh in its flow. The truth in the records keeps the
meaning of the controls (loss.supervision, loss.teacher_forcing), and the flow keeps its code space.

Time: half an hour on two CPU cores.

Scores on a puppet that puppet-v1 has not met, 3 minutes of video (`python -m benchmarks.finetune`): PSNR from 31.8 to
33.6 dB (rank 8: 33.1), mouth box from 27.6 to 29.6 dB (29.2), lip aperture from speech from 0.89 to 0.91 (0.90). On one
real person, 1.4 minutes of video: PSNR from 26.2 to 31.5 dB, mouth from 22.2 to 27.8 dB. docs/results.md,
"Fine-tuning".
"""

import dataclasses

from demo_jax.checkpoint.load import BUNDLED, describe
from demo_jax.config import (
    AugmentConfig,
    DataConfig,
    OptimizerConfig,
    Stage1Config,
    Stage1LossConfig,
    Stage2Config,
    as_config_dict,
)
from demo_jax.errors import InputError


def get_config(argument: str = "autoencoder"):
    stage, _, named = argument.partition(",")
    published = named or BUNDLED.name
    meta, autoencoder, flow = describe(published)
    assert flow is not None
    if stage == "autoencoder":
        return as_config_dict(
            Stage1Config(
                steps=400,
                eval_every=100,
                save_every=100,
                model=dataclasses.replace(autoencoder.model, lip_window=1),
                loss=Stage1LossConfig(lip_contrast=0.0, expression=20.0, cycle=0.1),
                augment=AugmentConfig(colour=0.1, shift=0.03, zoom=0.05),
                data=DataConfig(batch_size=8, set_batch_size=4),  # paired groups are composites of two frames
                optimizer=OptimizerConfig(learning_rate=3e-4, warmup_steps=50, ema_decay=0.99),
                start_from=published,
            )
        )
    if stage == "flow":
        return as_config_dict(
            Stage2Config(
                steps=400,
                eval_every=100,
                save_every=100,
                model=flow.model,
                data=DataConfig(batch_size=16, feature=meta["feature"]),
                optimizer=OptimizerConfig(learning_rate=2e-4, warmup_steps=50, ema_decay=0.99),
                start_from=published,
            )
        )
    raise InputError(f"configs/finetune.py:{argument}: the part after the colon must be autoencoder or flow.")
