"""Stage 1 on the puppet corpus at 64 px: the auto-encoder of the bundled checkpoint.

python -m data_pipelines.puppet --out data/puppet
python train.py --config=configs/puppet_autoencoder.py --workdir=runs/puppet_ae --config.data.path=data/puppet

The corpus is of 128 px, which is averaged down; with --hours 0.5 --size 64 --people 60,10,20 it is built in minutes.
Training takes about half an hour on two CPU cores (0.65 s a step). The bundled checkpoint was trained on the corpus's
first version (0.8 hours, 100 identities at 64 px); on its val split: PSNR 28.5 dB (copying the source: 26.0), within
mouth and eye boxes 23.2 (20.9), with one factor swapped 25.7, with motion on a second identity 25.7.
"""

from demo_jax.config import AutoEncoderConfig, DataConfig, OptimizerConfig, Stage1Config, as_config_dict


def get_config():
    return as_config_dict(
        Stage1Config(
            steps=2_400,
            model=AutoEncoderConfig(size=64),
            data=DataConfig(batch_size=12, set_batch_size=6),
            optimizer=OptimizerConfig(learning_rate=8e-4),
        )
    )
