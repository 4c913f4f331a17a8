"""How a puppet moves: articulation, eyes, head, emotion, each person's style, and independent probes."""
