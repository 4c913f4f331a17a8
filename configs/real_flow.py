"""Stage 2 on a folder of prepared video, briefly: what `make real` runs.

    python -m data_pipelines.encode --autoencoder runs/real_ae --data data/real --out data/real_codes
    python train.py --config=configs/real_flow.py --workdir=runs/real_flow --config.data.path=data/real_codes \\
        --config.autoencoder=runs/real_ae

Time: not measured for this run; a step takes 0.19 s on two idle CPU cores, 1,500 steps 5 minutes.

Scores: not measured for this network. An earlier model at 64 px, also 1,500 steps on the same 9.6 minutes of video: lip
aperture from speech, correlation with the truth 0.10 ± 0.07. docs/results.md, "Real video".
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
