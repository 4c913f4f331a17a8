"""One variant of a small stage 1 at 64 px with a small, fixed budget; `make ablations` trains one after the other.

python train.py --config=configs/ablation_autoencoder.py:no_swap --workdir=runs/no_swap --config.data.path=data/puppet

The name after the colon is one of VARIANTS ("full" if there is none). The coordinates of a removed block count as
residual: no truth, no contrast, and they are swapped with the residual. So all variants have the same networks and as
many numbers to describe the motion; except paper_split, which has 512 numbers with the paper's sizes 500/6/6 and no
residual.

Time: under 20 minutes each on one CPU core.

Scores of `full` on the test split after 1,000 steps, mean of two seeds: PSNR 25.6 dB, 22.6 dB in mouth and eyes, 23.4
dB with one factor swapped, 22.0 dB on another identity; R² 0.57 of the own factor, 0.08 of another. Other variants:
docs/results.md, "Which losses of stage 1 matter"; no_gaze_contrast, no_consistency, no_identity, no_landmarks and
no_expression are not measured.
"""

import dataclasses
from typing import Any

from demo_jax.config import (
    AutoEncoderConfig,
    DataConfig,
    OptimizerConfig,
    Stage1Config,
    Stage1LossConfig,
    as_config_dict,
)
from demo_jax.factors import FactorLayout

VARIANTS: dict[str, dict[str, Any]] = {
    "full": {},
    "no_lip_block": {"merged": ("lip",)},
    "no_pose_block": {"merged": ("pose",)},
    "no_gaze_block": {"merged": ("gaze",)},
    "joint": {"merged": ("lip", "pose", "gaze"), "cosine": 0.0},
    "no_swap": {"swap": 0.0},
    "no_info_nce": {"lip_contrast": 0.0},
    "no_gaze_contrast": {"gaze_contrast": 0.0},
    "no_cross_covariance": {"cross_covariance": 0.0},
    "no_cosine": {"cosine": 0.0},
    "no_true_control": {"teacher_forcing": 0.0, "teacher_forcing_lips": 0.0},
    "no_landmarks": {"landmarks": 0.0},
    "no_expression": {"expression": 0.0},
    "no_consistency": {"consistency": 0.0},
    "no_identity": {"identity": 0.0},
    "paper_split": {},
}  # fmt: skip


def get_config(variant: str = "full"):
    model = AutoEncoderConfig(
        size=64,
        levels=((8, 64), (16, 48), (32, 24)),
        blocks=1,
        style_width=128,
        encoder_channels=(24, 32, 64, 64),
        encoder_width=192,
    )
    if variant == "paper_split":
        layout = FactorLayout(lip=500, pose=6, gaze=6, residual=0)
        model = dataclasses.replace(model, latent=512, layout=layout)
    return as_config_dict(
        Stage1Config(
            steps=1_000,
            eval_every=1_000,
            save_every=250,
            model=model,
            loss=Stage1LossConfig(**VARIANTS[variant]),
            data=DataConfig(batch_size=8, set_batch_size=4),
            optimizer=OptimizerConfig(learning_rate=1e-3, warmup_steps=100, ema_decay=0.99),
        )
    )
