"""Stage 1 on the puppet corpus at 128 px: the decoder of the bundled checkpoint, with a frozen motion encoder.

python train.py --config=configs/puppet_128_autoencoder.py --workdir=runs/puppet_ae --config.data.path=data/puppet \\
    --config.start_from=runs/puppet_encoder

The last of three runs: configs/puppet_autoencoder.py, configs/puppet_encoder.py, this. A step at 64 px costs little
more than half of one at 128 px, and there all levels but the finest are trained. Stage 2 needs codes, and codes need a
motion encoder that no longer changes: encode with runs/puppet_encoder, and train stage 2 while this decoder is trained.
demo_jax.checkpoint.publish.export_model(flow_run, out, autoencoder=this_run) joins them.

With a frozen encoder the codes need no losses, and the middle frame of a window is enough. To train both at once from
nothing, give --config.freeze="()" and the weights of Stage1LossConfig.

Time: not measured for this run; all runs of puppet-v1 took about seven hours on two CPU cores, with other work running.

Scores of puppet-v1, whose decoder had a longer history (demo_jax/assets/README.md): PSNR of speech 31.1 dB, SSIM 0.937,
PSNR of independent factors 22.9 dB, largest leakage 0.06. docs/results.md, "Reconstruction" and after.
"""

from demo_jax.config import (
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
            steps=8_000,
            model=AutoEncoderConfig(size=128, levels=((8, 96), (16, 64), (32, 32), (64, 24)), lip_window=1),
            loss=Stage1LossConfig(
                teacher_forcing_lips=0.5,
                supervision=0.0,
                expression=0.0,
                lip_contrast=0.0,
                gaze_contrast=0.0,
                consistency=0.0,
                identity=0.0,
                cross_covariance=0.0,
                cosine=0.0,
            ),
            data=DataConfig(batch_size=6, set_batch_size=4),
            optimizer=OptimizerConfig(learning_rate=1e-3, warmup_steps=50, ema_decay=0.995),
            freeze=("motion_encoder",),
        )
    )
