"""Stage 2 at full size, for GPUs and TPUs: 1024 wide, 8 layers, 8 heads.

    python train.py --config=configs/full_flow.py --workdir=runs/full_flow --config.data.path=CODES \\
        --config.autoencoder=runs/full_ae

Time: not measured; never trained. It has been compiled for up to 256 devices (docs/scale.md). One step of 8 windows
takes 3.2 s and at most 7.3 GiB in float32 on two idle CPU cores.

Scores: not measured.
"""

from demo_jax.config import DataConfig, FlowTransformerConfig, OptimizerConfig, Stage2Config, as_config_dict


def get_config():
    return as_config_dict(
        Stage2Config(
            steps=500_000,
            eval_every=10_000,
            save_every=5_000,
            model=FlowTransformerConfig(width=1024, depth=8, heads=8, dtype="bfloat16"),
            data=DataConfig(batch_size=256, feature="phonetic", workers=8),
            optimizer=OptimizerConfig(learning_rate=1e-4, warmup_steps=5_000, ema_decay=0.9999),
        )
    )
