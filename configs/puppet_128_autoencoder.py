"""Stage 1 on the puppet corpus at 128 px: the auto-encoder of the bundled checkpoint.

python train.py --config=configs/puppet_128_autoencoder.py --workdir=runs/puppet_ae --config.data.path=data/puppet \\
    --config.start_from=runs/puppet_encoder

It begins with what runs of configs/puppet_autoencoder.py and configs/puppet_encoder.py have learned: a step at 64 px
costs little more than half of one at 128 px, and all but the finest level is learned there. To train from nothing,
leave start_from away.

Stage 2 needs codes, and codes need a motion encoder that no longer changes. To train both at once, stop the run
(SIGTERM saves), and give the same command with --config.freeze="('motion_encoder',)": encode with it and train stage 2,
while the decoder goes on learning here. demo_jax.checkpoint.export_model(flow_run, out, autoencoder=this_run) joins
them.
"""

from demo_jax.config import AutoEncoderConfig, DataConfig, OptimizerConfig, Stage1Config, as_config_dict


def get_config():
    return as_config_dict(
        Stage1Config(
            steps=5_000,
            model=AutoEncoderConfig(size=128, levels=((8, 96), (16, 64), (32, 32), (64, 24))),
            data=DataConfig(batch_size=8, set_batch_size=6),
            optimizer=OptimizerConfig(learning_rate=5e-4),
        )
    )
