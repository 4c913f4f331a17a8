"""Stage 2 on a folder of prepared video, briefly: what `make real` runs.

    python -m data_pipelines.encode --autoencoder runs/real_ae --data data/real --out data/real_codes
    python train.py --config=configs/real_flow.py --workdir=runs/real_flow --config.data.path=data/real_codes \\
        --config.autoencoder=runs/real_ae
"""

from demo_jax.config import DataConfig, FlowTransformerConfig, OptimizerConfig, Stage2Config, as_config_dict


def get_config():
    return as_config_dict(
        Stage2Config(
            steps=1_500,
            model=FlowTransformerConfig(width=128, depth=6, heads=4),
            data=DataConfig(batch_size=32, feature="phonetic"),
            optimizer=OptimizerConfig(learning_rate=8e-4),
        )
    )
