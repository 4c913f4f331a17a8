"""Who a puppet is: the linear 3DMM of the head, identities drawn from it, and the head under expression and gaze."""
