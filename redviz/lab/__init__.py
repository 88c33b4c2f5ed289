"""The lab: policy-gradient training against a reward model, where credit assignment does what it is for."""
