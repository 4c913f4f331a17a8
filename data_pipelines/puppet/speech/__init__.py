"""What a puppet says: sentences, eSpeak NG with phoneme times, utterances with pauses, prosody."""
