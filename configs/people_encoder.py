"""The motion encoder and the points of the face, for people: from puppet-v1, on puppets, photo-puppets and video.

python -m data_pipelines.puppet --out data/few_puppets --hours 0.1 --people 40,4,6 --set-share 0.3
python -m data_pipelines.prepare --videos VIDEOS --out data/video --size 128
python -m data_pipelines.photo_puppets --portraits PORTRAITS --splits splits.csv --drivers data/video --out data/stills
python train.py --config=configs/people_encoder.py --workdir=runs/people --config.data.path=data/few_puppets \\
    --config.data.mixture="(('data/stills', 2), ('data/video', 1))"

Time: about an hour on one CPU core (4,700 steps of 72 images).

Scores on strangers (docs/results.md, "Reading people"): R² of yaw 0.83 in video and 0.97 in moved stills, of aperture
0.65 and 0.91; landmarks within 2.9 and 2.0 % of the face width.

No image is decoded: the photograph path needs the code of a portrait and how its points move. The readouts of
expressions stay as they are, so that a code means what it means to the flow that was trained on puppets.
"""

from demo_jax.config import (
    AugmentConfig,
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
            steps=4_700,
            model=AutoEncoderConfig(size=128, levels=((8, 96), (16, 64), (32, 32), (64, 24)), lip_window=1),
            loss=Stage1LossConfig(
                reconstruction=0.0,
                swap=0.0,
                cross_identity=0.0,
                landmarks=0.1,
                lip_contrast=0.0,
                gaze_contrast=0.0,
                expression=20.0,
            ),
            data=DataConfig(batch_size=24, set_batch_size=8),
            augment=AugmentConfig(colour=0.15, shift=0.04, zoom=0.08),
            # Parameters of the decoder that draw have no gradient: decay alone would change them.
            optimizer=OptimizerConfig(learning_rate=6e-4, warmup_steps=100, weight_decay=0.0, ema_decay=0.995),
            freeze=(
                "source_encoder",
                "basis",
                "expression_readouts_0",
                "expression_readouts_1",
                "expression_readouts_2",
                "lip_projection",
                "audio_projection",
                "gaze_projection",
            ),
            start_from="puppet-v1",
        )
    )
