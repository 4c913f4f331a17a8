"""Speech of the puppets: sentences and voices of each split, eSpeak NG with phoneme times, clips with pauses, prosody.

Also the labelled speech that the phonetic features are trained on. How the lips move to it is in `motion`.
"""
