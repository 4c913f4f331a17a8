"""Stage 2 at full size: 1024 wide, 8 layers, 8 heads. For GPUs and TPUs; never trained so far.

    python train.py --config=configs/full_flow.py --workdir=runs/full_flow --config.data.path=CODES \\
        --config.autoencoder=runs/full_ae
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
