"""Stage 2 on the puppet corpus: the flow transformer of the bundled checkpoint.

    python -m data_pipelines.encode --autoencoder runs/puppet_ae --data data/puppet --out data/puppet_codes
    python train.py --config=configs/puppet_flow.py --workdir=runs/puppet_flow --config.data.path=data/puppet_codes \\
        --config.autoencoder=runs/puppet_ae

Time: not measured for this run; a step takes 0.19 s on two idle CPU cores, 5,600 steps 18 minutes.

Scores of puppet-v1, trained longer (demo_jax/assets/README.md), NFE 10, guidance scale 2: lip aperture from speech,
correlation with the truth 0.876; Fréchet distance of pose -0.01, of all other codes 0.05. docs/results.md, "Lips and
motion from speech".
"""

from demo_jax.config import DataConfig, FlowTransformerConfig, OptimizerConfig, Stage2Config, as_config_dict


def get_config():
    return as_config_dict(
        Stage2Config(
            steps=5_600,
            model=FlowTransformerConfig(width=128, depth=6, heads=4),
            data=DataConfig(batch_size=32, feature="phonetic"),
            optimizer=OptimizerConfig(learning_rate=1e-3),
        )
    )
