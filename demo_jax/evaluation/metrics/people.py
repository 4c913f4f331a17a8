"""What people show, as `reader` reads them: the units and ranges that figures on generated video are compared with.

Measured on 92 clips of about 60 people who talk (256 px, 25 fps, 11.4 minutes), and on photographs of 158 people (faces
of 240 to 440 px). Ranges run from the 5th to the 95th percentile over people. They belong to this reader: measure them
again where its numbers change (`faces.landmarker.VERSION`).
"""

from __future__ import annotations

import numpy as np

# Standard deviation within a clip, in the order of reader.READ_NAMES: yaw, pitch, roll, gaze yaw and pitch (degrees),
# lid gaps left and right (over eye width), aperture, width (over the eye span). Median over clips.
SPREAD = np.array([2.34, 1.89, 1.47, 3.86, 2.69, 0.063, 0.064, 0.054, 0.030])

SPEECH_APERTURE = (0.088, 0.266)  # `motion.speech_aperture`; median 0.178
RESTING_LID = (0.161, 0.357)  # lid gap over eye width, the median over a clip's frontal frames; median 0.301
BLINK_CLOSURE = (0.05, 0.43)  # `control.blink_closure` of 287 single blinks; median 0.17: many fall between frames
MOUTH_DETAIL = (1.7, 30.0)  # `sharpness.mouth_detail` of 98 photographs that show teeth; median 7.4
