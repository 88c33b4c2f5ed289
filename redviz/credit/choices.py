"""What methods that call a model may be asked for. Light, so that the table of methods reads it without torch and Captum."""

BASELINES = ("pad", "eos", "mean", "zero")
FIRST_STEPS, STEP_CAP = 16, 256  # where the residual decides: doubled from the first to the cap
MOST_STEPS = 1024  # that may be asked for: the nodes of a quadrature cost their count cubed

# ABC-D: which steps of the generation it listens to
GENERATION_STEPS = ("all", "last")

# Single gradients, gradient SHAP, P2T
NORMS = ("l2", "l1")
MOST_SAMPLES = 4096

# What perturbation methods may be asked for.
OPERATORS = ("delete", "pad", "mean", "mask")  # how a unit is removed
PLAYERS = ("token", "word", "sentence")  # what is removed whole
MOST_COALITIONS = 65536  # permutations or coalitions that may be asked for

# The two instructions of T-REG. The paper's own wording could not be read; these say what it describes.
BETTER = "Make the answer more helpful, correct, coherent and concise."
WORSE = "Make the answer unhelpful, incorrect, incoherent and verbose."
