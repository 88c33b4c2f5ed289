"""What integrated gradients may be asked for. Light, so that the table of methods reads it without torch and Captum."""

BASELINES = ("pad", "eos", "mean", "zero")
FIRST_STEPS, STEP_CAP = 16, 256  # where the residual decides: doubled from the first to the cap
MOST_STEPS = 1024  # that may be asked for: the nodes of a quadrature cost their count cubed
